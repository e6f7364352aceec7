// How each noun is shown as a row.

import {
  ago,
  bytes,
  counted,
  dataNames,
  duration,
  estimatorName,
  folderName,
  mainMetric,
  measured,
  metricOrder,
  savedData,
  severity,
  shortMetric,
  subject
} from '../format';
import { keyOf } from '../sections';
import {
  IAlert,
  IDataVersion,
  IDeployment,
  IModelVersion,
  IReport,
  IRun,
  IServedVersion,
  Numeric
} from '../tokens';
import { IShared } from './context';
import { Code, Facts, IFact } from './Facts';
import { IRowContent, Tone } from './Row';
import { GateDetails } from './GateDetails';
import { ReportDetails } from './ReportDetails';

const RUN_TONES: Record<IRun['status'], Tone> = {
  RUNNING: 'busy',
  SCHEDULED: 'quiet',
  FINISHED: 'good',
  FAILED: 'bad',
  KILLED: 'warn'
};

export function runRow(
  run: IRun,
  order: readonly string[],
  shared: IShared
): IRowContent {
  const { trans, now, model } = shared;
  const main = mainMetric(run.metrics, order);
  return {
    key: keyOf('runs', run),
    title: run.name,
    mark: { tone: RUN_TONES[run.status], label: run.status.toLowerCase() },
    chips: trustChips(run, shared),
    figure: main
      ? { name: shortMetric(main.name), value: measured(main.value) }
      : undefined,
    notes: [
      run.status === 'RUNNING' ? trans.__('running') : ago(run.started_ms, now),
      run.reason || savedData(run.data) || duration(run.duration_ms)
    ],
    actions: shared.actions.forRun(run),
    picking: {
      picked: model.picked.includes(run.id),
      toggle: () => model.pick(run.id)
    },
    details: () => (
      <>
        <Facts
          facts={[
            [trans.__('status'), run.status.toLowerCase()],
            [trans.__('reason'), run.reason],
            [trans.__('trust'), run.trust === 'unknown' ? '' : run.trust],
            ...Object.entries(run.trust_reasons).map(([cell, why]): IFact => [
              cell ? trans.__('cell %1', cell) : '',
              why
            ]),
            [
              trans.__('superseded by'),
              run.superseded_by && run.superseded_by.slice(0, 10)
            ],
            [trans.__('started'), when(run.started_ms)],
            [trans.__('took'), duration(run.duration_ms)],
            [trans.__('data'), dataNames(run.data)],
            [
              trans.__('models'),
              run.models.length ? String(run.models.length) : ''
            ],
            [trans.__('notebook'), folderName(run.notebook)],
            [trans.__('commit'), run.commit.slice(0, 10)],
            [trans.__('user'), run.user],
            [trans.__('id'), run.id]
          ]}
        />
        <Facts
          title={trans.__('What it took')}
          facts={Object.entries(run.facts)}
          limit={4}
        />
        <Facts
          title={trans.__('Metrics')}
          facts={numbers(run.metrics)}
          limit={6}
        />
        <Facts
          title={trans.__('Parameters')}
          facts={Object.entries(run.params)}
          limit={8}
        />
        <Code title={trans.__('Code')} text={run.source} />
      </>
    )
  };
}

export function dataRow(data: IDataVersion, shared: IShared): IRowContent {
  const { trans, now } = shared;
  return {
    key: keyOf('data', data),
    title: data.ref,
    figure: { name: trans.__('rows'), value: counted(data.rows) },
    notes: [
      ago(data.created_ms, now),
      trans._n('%1 column', '%1 columns', data.columns.length)
    ],
    actions: shared.actions.forData(data),
    details: () => (
      <>
        <Facts
          facts={[
            [trans.__('saved'), when(data.created_ms)],
            [trans.__('by'), data.created_by],
            [
              trans.__('used by'),
              data.used_by.length
                ? trans._n('%1 run', '%1 runs', data.used_by.length)
                : ''
            ],
            [trans.__('branch'), data.branch === 'main' ? '' : data.branch],
            [trans.__('made from'), data.sources.join(', ')],
            [trans.__('adds'), bytes(data.bytes)],
            [trans.__('digest'), data.digest]
          ]}
        />
        <Facts
          title={trans.__('Columns')}
          facts={data.columns.map(column => [column.name, column.type])}
          limit={8}
        />
      </>
    )
  };
}

export function modelRow(model: IModelVersion, shared: IShared): IRowContent {
  const { trans, now } = shared;
  const main = mainMetric(model.metrics, metricOrder([model]));
  return {
    key: keyOf('models', model),
    title: model.ref,
    chips: model.aliases.map(alias => ({
      text: alias,
      strong: alias === 'champion'
    })),
    figure: main
      ? { name: shortMetric(main.name), value: measured(main.value) }
      : undefined,
    notes: [
      estimatorName(model.estimator) || model.flavor,
      savedData(model.data),
      ago(model.created_ms, now)
    ],
    actions: shared.actions.forModel(model),
    details: () => (
      <>
        <Facts
          facts={[
            [trans.__('estimator'), model.estimator || model.flavor],
            [trans.__('stored as'), model.format],
            [trans.__('aliases'), model.aliases.join(', ')],
            [trans.__('data'), dataNames(model.data)],
            [
              trans.__('drift profile'),
              model.profile ? trans.__('yes') : trans.__('no')
            ],
            [trans.__('registered'), when(model.created_ms)],
            [trans.__('by'), model.created_by],
            ...model.notes.map((note): IFact => [trans.__('note'), note])
          ]}
        />
        <Facts
          title={trans.__('Metrics')}
          facts={numbers(model.metrics)}
          limit={6}
        />
        <GateDetails model={model.ref} />
        <Facts
          title={trans.__('Inputs')}
          facts={model.inputs.map(column => [column.name, column.type])}
          limit={8}
        />
      </>
    )
  };
}

const DEPLOYMENT_TONES: Record<IDeployment['state'], Tone> = {
  starting: 'busy',
  running: 'good',
  restarting: 'busy',
  failed: 'bad',
  stopped: 'quiet'
};

export function deploymentRow(
  deployment: IDeployment,
  shared: IShared
): IRowContent {
  const { trans, now } = shared;
  const running = deployment.state === 'running';
  return {
    key: keyOf('deployments', deployment),
    title: deployment.name,
    mark: {
      tone: DEPLOYMENT_TONES[deployment.state],
      label: deployment.state
    },
    figure: {
      name: trans.__('predictions'),
      value: counted(deployment.predictions)
    },
    chips: deployment.versions
      .filter(version => version.role === 'canary' || version.role === 'shadow')
      .map(version => ({
        text:
          version.role === 'canary'
            ? trans.__('canary %1%', Math.round(version.weight * 100))
            : trans.__('shadow')
      })),
    notes: [
      deployment.model,
      running ? '' : deployment.state,
      deployment.error ||
        (deployment.state === 'stopped' ? '' : address(deployment.url))
    ],
    actions: shared.actions.forDeployment(deployment),
    details: () => (
      <>
        <Facts
          facts={[
            [trans.__('state'), deployment.state],
            [trans.__('error'), deployment.error],
            [trans.__('serves'), deployment.model],
            [
              trans.__('asked for'),
              deployment.asked === deployment.model ? '' : deployment.asked
            ],
            [trans.__('address'), deployment.url],
            [
              trans.__('token in'),
              within(shared.model.workspace, deployment.token_file)
            ],
            [trans.__('started'), ago(deployment.started_ms, now)],
            [
              trans.__('restarts'),
              deployment.restarts ? String(deployment.restarts) : ''
            ],
            [
              trans.__('processes'),
              deployment.workers.length > 0
                ? `${deployment.workers.length}, ${bytes(
                    deployment.workers.reduce((sum, w) => sum + w.memory, 0)
                  )}`
                : ''
            ],
            [
              trans.__('not logged'),
              deployment.not_logged ? counted(deployment.not_logged) : ''
            ],
            [
              trans.__('turned away'),
              Object.entries(deployment.turned_away)
                .map(([status, many]) => `${counted(many)} × ${status}`)
                .join(', ')
            ],
            [trans.__('log'), within(shared.model.workspace, deployment.log)]
          ]}
        />
        {deployment.versions.map(version => (
          <Facts
            key={`${version.model}-${version.role}`}
            title={`${version.model} · ${version.role}`}
            facts={[
              [
                trans.__('share'),
                version.role === 'shadow'
                  ? ''
                  : `${Math.round(version.weight * 100)} %`
              ],
              [trans.__('path'), version.path],
              [trans.__('requests'), counted(version.requests)],
              [
                trans.__('refused'),
                version.refused ? counted(version.refused) : ''
              ],
              [
                trans.__('errors'),
                version.errors ? counted(version.errors) : ''
              ],
              [trans.__('p50 / p99'), latency(version)]
            ]}
          />
        ))}
        {deployment.traffic.decisions.slice(-2).map(decision => (
          <p
            key={decision.time_ms}
            className="jp-MLOps-finding jp-mod-warning"
            title={when(decision.time_ms)}
          >
            {decision.what}: {decision.why}
          </p>
        ))}
      </>
    )
  };
}

export function reportRow(report: IReport, shared: IShared): IRowContent {
  const { trans, now } = shared;
  const level = severity(report);
  const judged = report.columns.filter(c => c.drifted !== null).length;
  return {
    key: keyOf('reports', report),
    title: subject(report),
    mark: {
      ok: { tone: 'good' as const, label: trans.__('no drift') },
      drift: { tone: 'bad' as const, label: trans.__('drift') },
      unknown: { tone: 'warn' as const, label: trans.__('not judged') }
    }[level],
    figure: {
      name: trans.__('drifted'),
      value: `${report.drifted.length}/${judged}`,
      tone: level === 'drift' ? 'bad' : 'quiet'
    },
    notes: [
      ago(report.created_ms, now),
      report.drifted.slice(0, 3).join(', ') ||
        (level === 'ok' ? trans.__('no drift') : report.verdict)
    ],
    actions: shared.actions.forReport(report),
    details: () => <ReportDetails report={report} />
  };
}

export function alertRow(alert: IAlert, shared: IShared): IRowContent {
  const { trans, now } = shared;
  const firing = alert.resolved_ms === null;
  return {
    key: keyOf('alerts', alert),
    title: alert.rule,
    mark: firing
      ? { tone: alert.silenced ? 'warn' : 'bad', label: trans.__('firing') }
      : { tone: 'quiet', label: trans.__('over') },
    figure:
      alert.value === null
        ? undefined
        : {
            name: firing ? trans.__('now') : trans.__('was'),
            value: measured(alert.value),
            tone: firing ? 'bad' : 'quiet'
          },
    notes: [
      alert.deployment,
      ago(alert.opened_ms, now),
      alert.silenced ? trans.__('silenced') : ''
    ],
    actions: shared.actions.forAlert(alert),
    details: () => (
      <>
        <p className="jp-MLOps-verdict">{alert.told}</p>
        <Facts
          facts={[
            [trans.__('since'), when(alert.opened_ms)],
            [
              trans.__('until'),
              alert.resolved_ms === null ? '' : when(alert.resolved_ms)
            ],
            [trans.__('model'), alert.model]
          ]}
        />
      </>
    )
  };
}

function numbers(metrics: Record<string, Numeric>): IFact[] {
  return metricOrder([{ metrics }]).map(name => [
    name,
    measured(metrics[name] ?? 'NaN')
  ]);
}

/** Whether the notebook still gives the run, where that is known to be worth a word. */
function trustChips(run: IRun, shared: IShared): IRowContent['chips'] {
  const { trans } = shared;
  if (run.superseded_by) {
    return [{ text: trans.__('superseded') }];
  }
  if (run.trust === 'stale') {
    return [{ text: trans.__('stale') }];
  }
  return run.trust === 'reproducible'
    ? [{ text: trans.__('reproducible'), strong: true }]
    : [];
}

function latency(version: IServedVersion): string {
  const shown = [version.p50_ms, version.p99_ms].map(ms =>
    ms === null ? '–' : ms < 100 ? `${ms.toPrecision(2)} ms` : duration(ms)
  );
  return version.p50_ms === null ? '' : shown.join(' / ');
}

function address(url: string): string {
  return url.replace(/^https?:\/\/(127\.0\.0\.1|localhost)/, '');
}

/** A file's path from the workspace's folder on. */
function within(workspace: string, path: string): string {
  return path.startsWith(`${workspace}/`)
    ? path.slice(workspace.length + 1)
    : path;
}

function when(ms: number): string {
  return new Date(ms).toLocaleString();
}
