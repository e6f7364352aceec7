// The panel: where we are, what is to be told, and the sections as one tree.

import { closeIcon, refreshIcon } from '@jupyterlab/ui-components';
import { KeyboardEvent, useEffect, useRef, useState, JSX } from 'react';

import * as code from '../code';
import { folderName, metricOrder, storeName } from '../format';
import {
  alertsIcon,
  compareIcon,
  dataIcon,
  deploymentsIcon,
  driftIcon,
  modelsIcon,
  runsIcon
} from '../icons';
import { Connection, PanelModel } from '../model';
import { INotice, IStatus, Topic, TOPICS } from '../tokens';
import { IShared, Shared, useShared } from './context';
import { NoticeBox } from './NoticeBox';
import {
  alertRow,
  dataRow,
  deploymentRow,
  modelRow,
  reportRow,
  runRow
} from './rows';
import { SectionView } from './Section';
import { moveFocus } from './tree';

const TICK = 30_000;

export function Panel(props: Omit<IShared, 'now'>): JSX.Element {
  const { model } = props;
  const [now, setNow] = useState(Date.now());
  const [, redraw] = useState(0);
  useEffect(() => {
    const onChange = () => {
      setNow(Date.now());
      redraw(count => count + 1);
    };
    model.changed.connect(onChange);
    const timer = setInterval(() => setNow(Date.now()), TICK);
    return () => {
      model.changed.disconnect(onChange);
      clearInterval(timer);
    };
  }, [model]);
  return (
    <Shared.Provider value={{ ...props, now }}>
      <Header />
      <Notices />
      <Tree />
    </Shared.Provider>
  );
}

function Header(): JSX.Element {
  const { model, trans } = useShared();
  const { status, connection } = model;
  const words: Record<Connection, string> = {
    idle: '',
    connecting: trans.__('connecting'),
    live: trans.__('live'),
    polling: trans.__('refreshing'),
    ended: trans.__('service ended'),
    lost: trans.__('not connected')
  };
  const help: Record<Connection, string> = {
    idle: '',
    connecting: trans.__('The workspace is being opened.'),
    live: trans.__('Changes show as they happen.'),
    polling: trans.__(
      "Jupyter's events do not arrive; the panel asks every few seconds."
    ),
    ended: trans.__(
      "The workspace's service was ended by hand. It starts again with the next command or refresh."
    ),
    lost: trans.__('The panel has stopped asking.')
  };
  return (
    <header className="jp-MLOps-header">
      <div className="jp-MLOps-headerText">
        <span className="jp-MLOps-workspace" title={model.workspace}>
          {folderName(model.workspace) || trans.__('MLOps')}
        </span>
        <span
          className="jp-MLOps-store"
          title={status ? status.tracking_uri : ''}
        >
          {status ? place(status, model.workspace) : ' '}
        </span>
      </div>
      {words[connection] && (
        <span
          className={`jp-MLOps-connection jp-mod-${connection}`}
          title={help[connection]}
          role="status"
        >
          {words[connection]}
        </span>
      )}
      <button
        className="jp-MLOps-iconButton"
        title={trans.__('Refresh')}
        aria-label={trans.__('Refresh')}
        onClick={() =>
          connection === 'lost' ? model.retry() : void model.refresh()
        }
      >
        <refreshIcon.react tag="span" />
      </button>
    </header>
  );
}

/** The experiment, unless it is called as the workspace is, and the store. */
function place(status: IStatus, workspace: string): string {
  const store = storeName(status.tracking_uri);
  return status.experiment === folderName(workspace)
    ? store
    : `${status.experiment} · ${store}`;
}

function Notices(): JSX.Element | null {
  const { model, trans } = useShared();
  const trouble = model.trouble ?? commonError(model);
  const lines = [
    ...(model.status?.notes ?? []).map((note): INotice => ({
      level: 'info',
      message: note
    }))
  ];
  return (
    <div className="jp-MLOps-notices" aria-live="polite">
      {trouble && (
        <NoticeBox
          notice={{
            ...trouble,
            action: { label: trans.__('Retry'), run: () => model.retry() }
          }}
        />
      )}
      {lines.map(notice => (
        <NoticeBox key={notice.message} notice={notice} />
      ))}
      {model.notices.map(notice => (
        <NoticeBox
          key={notice.message}
          notice={notice}
          onDismiss={() => model.dismiss(notice)}
        />
      ))}
    </div>
  );
}

/** An error that every section has is told once. */
function commonError(model: PanelModel): INotice | null {
  const errors = TOPICS.map(topic => model.sections[topic].error);
  const first = errors[0];
  return first && errors.every(e => e?.message === first.message)
    ? first
    : null;
}

function Tree(): JSX.Element {
  const shared = useShared();
  const { model, actions, trans } = shared;
  const { sections } = model;
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const tree = useRef<HTMLDivElement>(null);
  const toggleSection = (topic: Topic) => setClosed(flipped(closed, topic));
  const toggleRow = (key: string) => setOpened(flipped(opened, key));
  useEffect(() => keepReachable(tree.current));

  const onKeyDown = (event: KeyboardEvent) => {
    if (tree.current && moveFocus(tree.current, event.nativeEvent)) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
  const common = (topic: Topic) => ({
    topic,
    section: sections[topic],
    open: !closed.has(topic),
    onToggle: () => toggleSection(topic),
    opened,
    onToggleRow: toggleRow,
    quiet: model.trouble !== null || commonError(model) !== null
  });
  const order = metricOrder(sections.runs.items);
  const total = model.status?.runs;
  if (model.trouble !== null && model.workspace === '') {
    return <div className="jp-MLOps-tree" />;
  }
  return (
    <div
      className="jp-MLOps-tree"
      role="tree"
      aria-label={trans.__('MLOps workspace')}
      aria-multiselectable
      ref={tree}
      onKeyDown={onKeyDown}
    >
      <SectionView
        {...common('runs')}
        title={trans.__('Runs')}
        icon={runsIcon}
        total={sections.runs.more ? total : undefined}
        rows={sections.runs.items.map(run => runRow(run, order, shared))}
        empty={{
          text: trans.__('No runs yet. Begin a cell with'),
          type: '%%mlops run NAME',
          snippet: code.newRun()
        }}
        tools={
          model.picked.length > 0 && (
            <>
              <button
                className="jp-MLOps-button jp-mod-accent"
                disabled={model.picked.length < 2}
                title={
                  model.picked.length < 2
                    ? trans.__('Pick another run to compare with')
                    : trans.__('Compare them in the notebook')
                }
                onClick={event => {
                  event.stopPropagation();
                  actions.compare(model.picked);
                }}
              >
                <compareIcon.react tag="span" />
                {trans.__('Compare %1', model.picked.length)}
              </button>
              <button
                className="jp-MLOps-iconButton"
                title={trans.__('Unpick all')}
                aria-label={trans.__('Unpick all')}
                onClick={event => {
                  event.stopPropagation();
                  model.dropPicked();
                }}
              >
                <closeIcon.react tag="span" />
              </button>
            </>
          )
        }
      />
      <SectionView
        {...common('data')}
        title={trans.__('Data')}
        icon={dataIcon}
        rows={sections.data.items.map(data => dataRow(data, shared))}
        empty={{
          text: trans.__('No data versions yet. Save a table with'),
          type: '%mlops data save df --name NAME'
        }}
      />
      <SectionView
        {...common('models')}
        title={trans.__('Models')}
        icon={modelsIcon}
        rows={sections.models.items.map(item => modelRow(item, shared))}
        empty={{
          text: trans.__('No models yet. Register a fitted one with'),
          type: '%mlops register model --name NAME'
        }}
      />
      <SectionView
        {...common('deployments')}
        title={trans.__('Deployments')}
        icon={deploymentsIcon}
        rows={sections.deployments.items.map(d => deploymentRow(d, shared))}
        empty={{
          text: trans.__('Nothing is deployed. Serve a model with'),
          type: '%mlops deploy MODEL@champion'
        }}
      />
      <SectionView
        {...common('reports')}
        title={trans.__('Drift')}
        icon={driftIcon}
        rows={sections.reports.items.map(r => reportRow(r, shared))}
        empty={{
          text: trans.__('No drift reports yet. Judge a deployment with'),
          type: '%mlops drift DEPLOYMENT'
        }}
      />
      <SectionView
        {...common('alerts')}
        title={trans.__('Alerts')}
        icon={alertsIcon}
        rows={sections.alerts.items.map(a => alertRow(a, shared))}
        empty={{
          text: trans.__('No alerts. Watch a deployment with'),
          type: '%mlops monitor DEPLOYMENT --when drift'
        }}
      />
    </div>
  );
}

function flipped(set: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(key)) {
    next.add(key);
  }
  return next;
}

/** Exactly one item of the tree is a stop of the Tab key. */
function keepReachable(tree: HTMLElement | null): void {
  const items = tree?.querySelectorAll<HTMLElement>('[role="treeitem"]');
  if (
    items?.length &&
    !tree?.querySelector('[role="treeitem"][tabindex="0"]')
  ) {
    items[0]?.setAttribute('tabindex', '0');
  }
}
