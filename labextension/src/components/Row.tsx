// One item: what matters of it in two lines, its quick actions, its menu, and its details when opened.

import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';
import { ellipsesIcon } from '@jupyterlab/ui-components';
import { KeyboardEvent, MouseEvent, ReactNode, useRef, JSX } from 'react';

import { IAction } from '../actions';
import { useShared } from './context';

export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'quiet';

/** What a row shows. */
export interface IRowContent {
  key: string;
  title: string;
  /** A dot in front: its tone, and what it means in words. */
  mark?: { tone: Tone; label: string };
  chips?: { text: string; strong?: boolean }[];
  /** The number that matters most, at the right: what it is and how much. */
  figure?: { name: string; value: string; tone?: Tone } | undefined;
  /** The second line. */
  notes: string[];
  actions: IAction[];
  details: () => ReactNode;
  /** Where rows can be picked: whether this one is, and picking it. */
  picking?: { picked: boolean; toggle: () => void };
}

interface IRowProps {
  content: IRowContent;
  fresh: boolean;
  open: boolean;
  onToggle: () => void;
}

export function Row(props: IRowProps): JSX.Element {
  const { content, open, onToggle } = props;
  const { model, trans } = useShared();
  const row = useRef<HTMLDivElement>(null);
  const busy = model.busy.get(content.key);
  const detailsId = `jp-MLOps-${content.key.replace(/[^\w-]/g, '-')}`;

  const showMenu = (x: number, y: number) =>
    openMenu(content.actions, x, y, () => row.current?.focus());
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget) {
      return;
    }
    const menu =
      event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey);
    if (menu) {
      const box = event.currentTarget.getBoundingClientRect();
      showMenu(box.left + 24, box.bottom);
    } else if (event.key === ' ' && content.picking) {
      content.picking.toggle();
    } else if (event.key === 'Enter' || event.key === ' ') {
      onToggle();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const onContextMenu = (event: MouseEvent) => {
    event.preventDefault();
    event.stopPropagation();
    showMenu(event.clientX, event.clientY);
  };

  const { mark, picking } = content;
  return (
    <>
      <div
        ref={row}
        className={classes(
          'jp-MLOps-row',
          props.fresh && 'jp-mod-fresh',
          open && 'jp-mod-open',
          picking?.picked && 'jp-mod-picked'
        )}
        role="treeitem"
        aria-level={2}
        aria-expanded={open}
        aria-selected={picking ? picking.picked : undefined}
        aria-label={spoken(content, busy)}
        aria-owns={open ? detailsId : undefined}
        tabIndex={-1}
        data-key={content.key}
        onClick={onToggle}
        onKeyDown={onKeyDown}
        onContextMenu={onContextMenu}
      >
        <span className="jp-MLOps-lead">
          {picking && (
            <input
              type="checkbox"
              tabIndex={-1}
              checked={picking.picked}
              aria-label={trans.__('Pick %1 for a comparison', content.title)}
              onClick={event => event.stopPropagation()}
              onChange={picking.toggle}
            />
          )}
          {mark && (
            <span
              className={`jp-MLOps-mark jp-mod-${busy ? 'busy' : mark.tone}`}
              title={busy ?? mark.label}
            />
          )}
        </span>
        <span className="jp-MLOps-text">
          <span className="jp-MLOps-first">
            <span className="jp-MLOps-title" title={content.title}>
              {content.title}
            </span>
            {content.chips?.map(chip => (
              <span
                key={chip.text}
                title={chip.text}
                className={classes(
                  'jp-MLOps-chip',
                  chip.strong && 'jp-mod-strong'
                )}
              >
                {chip.text}
              </span>
            ))}
          </span>
          <span className="jp-MLOps-notes" title={plain(content.notes)}>
            {busy ? `${busy}…` : joined(content.notes)}
          </span>
        </span>
        {content.figure && (
          <span
            className={`jp-MLOps-figure jp-mod-${content.figure.tone ?? 'plain'}`}
            title={`${content.figure.name} ${content.figure.value}`}
          >
            <span className="jp-MLOps-value">{content.figure.value}</span>
            <span className="jp-MLOps-unit">{content.figure.name}</span>
          </span>
        )}
        <span className="jp-MLOps-quick">
          {content.actions
            .filter(action => action.quick)
            .map(action => (
              <button
                key={action.id}
                className="jp-MLOps-iconButton"
                tabIndex={-1}
                title={action.label}
                aria-label={action.label}
                onClick={event => {
                  event.stopPropagation();
                  action.run();
                }}
              >
                <action.icon.react tag="span" />
              </button>
            ))}
          <button
            className="jp-MLOps-iconButton"
            tabIndex={-1}
            title={trans.__('More actions')}
            aria-label={trans.__('More actions')}
            aria-haspopup="menu"
            onClick={event => {
              event.stopPropagation();
              const box = event.currentTarget.getBoundingClientRect();
              showMenu(box.left, box.bottom);
            }}
          >
            <ellipsesIcon.react tag="span" />
          </button>
        </span>
      </div>
      {open && (
        <div className="jp-MLOps-details" role="group" id={detailsId}>
          <div className="jp-MLOps-buttons">
            {content.actions.map(action => (
              <button
                key={action.id}
                className="jp-MLOps-button"
                onClick={() => action.run()}
              >
                <action.icon.react tag="span" />
                <span className="jp-MLOps-label">{action.label}</span>
              </button>
            ))}
          </div>
          {content.details()}
        </div>
      )}
    </>
  );
}

/** Class names, those that hold. */
export function classes(
  ...names: (string | false | null | undefined)[]
): string {
  return names.filter(Boolean).join(' ');
}

function joined(notes: string[]): ReactNode {
  return notes
    .filter(note => note !== '')
    .flatMap((note, index) =>
      index
        ? [
            <span key={`dot-${index}`} className="jp-MLOps-separator">
              ·
            </span>,
            <span key={index}>{note}</span>
          ]
        : [<span key={index}>{note}</span>]
    );
}

function plain(notes: string[]): string {
  return notes.filter(note => note !== '').join(' · ');
}

function spoken(content: IRowContent, busy: string | undefined): string {
  return [
    content.title,
    busy ?? content.mark?.label,
    ...(content.chips ?? []).map(chip => chip.text),
    content.figure && `${content.figure.name} ${content.figure.value}`
  ]
    .filter(Boolean)
    .join(', ');
}

function openMenu(
  actions: readonly IAction[],
  x: number,
  y: number,
  closed: () => void
): void {
  const commands = new CommandRegistry();
  const menu = new Menu({ commands });
  menu.addClass('jp-MLOps-menu');
  for (const action of actions) {
    commands.addCommand(action.id, {
      label: action.label,
      icon: action.icon,
      execute: action.run
    });
    menu.addItem({ command: action.id });
  }
  menu.aboutToClose.connect(() => {
    // the menu runs its command after it has closed
    setTimeout(() => {
      menu.dispose();
      if (document.activeElement === document.body) {
        closed();
      }
    });
  });
  menu.open(x, y);
  menu.activeIndex = 0;
}
