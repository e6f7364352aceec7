// One section: its heading with the count, and its rows, or what to do to get some.

import { caretRightIcon, LabIcon } from '@jupyterlab/ui-components';
import { KeyboardEvent, ReactNode, JSX } from 'react';

import { ISnippet } from '../code';
import { ISection } from '../sections';
import { Topic } from '../tokens';
import { useShared } from './context';
import { NoticeBox } from './NoticeBox';
import { classes, IRowContent, Row } from './Row';

interface ISectionProps {
  topic: Topic;
  title: string;
  icon: LabIcon;
  section: ISection<unknown>;
  /** How many there are, where that is more than are listed. */
  total?: number | undefined;
  rows: IRowContent[];
  /** What to say while there are none, and what to type. */
  empty: { text: string; type: string; snippet?: ISnippet };
  open: boolean;
  onToggle: () => void;
  opened: ReadonlySet<string>;
  onToggleRow: (key: string) => void;
  /** Buttons at the right of the heading. */
  tools?: ReactNode;
  /** Whether the section's own error is told elsewhere. */
  quiet: boolean;
}

export function SectionView(props: ISectionProps): JSX.Element {
  const { model, trans } = useShared();
  const { section, rows } = props;
  const groupId = `jp-MLOps-section-${props.topic}`;
  const ready = section.state === 'ready';
  const count = props.total ?? rows.length;
  const onKeyDown = (event: KeyboardEvent) => {
    const hit = event.key === 'Enter' || event.key === ' ';
    if (hit && event.target === event.currentTarget) {
      props.onToggle();
      event.preventDefault();
    }
  };
  return (
    <section className="jp-MLOps-section" role="none">
      <div
        className="jp-MLOps-sectionHead"
        role="treeitem"
        aria-level={1}
        aria-expanded={props.open}
        aria-owns={props.open ? groupId : undefined}
        aria-label={ready ? `${props.title}, ${count}` : props.title}
        tabIndex={-1}
        data-key={`section/${props.topic}`}
        onClick={props.onToggle}
        onKeyDown={onKeyDown}
      >
        <caretRightIcon.react
          tag="span"
          className={classes('jp-MLOps-caret', props.open && 'jp-mod-open')}
        />
        <props.icon.react tag="span" className="jp-MLOps-sectionIcon" />
        <span className="jp-MLOps-sectionTitle">{props.title}</span>
        {ready && count > 0 && <span className="jp-MLOps-count">{count}</span>}
        <span className="jp-MLOps-tools">{props.tools}</span>
      </div>
      {props.open && (
        <div className="jp-MLOps-group" role="group" id={groupId}>
          {section.error && !props.quiet && (
            <NoticeBox
              notice={{
                ...section.error,
                action: {
                  label: trans.__('Try again'),
                  run: () => void model.refresh([props.topic])
                }
              }}
            />
          )}
          {section.state === 'unknown' && <Loading />}
          {rows.map(content => (
            <Row
              key={content.key}
              content={content}
              fresh={section.fresh.has(content.key)}
              open={props.opened.has(content.key)}
              onToggle={() => props.onToggleRow(content.key)}
            />
          ))}
          {ready && !rows.length && <Empty {...props.empty} />}
          {section.more && (
            <button
              className="jp-MLOps-link jp-MLOps-more"
              onClick={() => model.showMore()}
            >
              {trans.__('Show more')}
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function Empty(props: ISectionProps['empty']): JSX.Element {
  const { actions, trans } = useShared();
  const snippet = props.snippet ?? { code: props.type, imports: [] };
  return (
    <div className="jp-MLOps-empty">
      <span>{props.text}</span>
      <button
        className="jp-MLOps-type"
        title={trans.__('Insert into the notebook')}
        onClick={() => actions.insert(snippet)}
      >
        <code>
          {props.type.split(' ').map((word, index) => (
            <span key={index}>{word} </span>
          ))}
        </code>
      </button>
    </div>
  );
}

function Loading(): JSX.Element {
  const { trans } = useShared();
  return (
    <div className="jp-MLOps-loading" aria-label={trans.__('Loading')}>
      <span />
      <span />
    </div>
  );
}
