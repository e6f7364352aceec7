// How numbers, times and metrics are written.

import { IReport, IRun, Numeric } from './tokens';

/** Milliseconds since 1970 as how long ago, in the largest whole unit. */
export function ago(ms: number, now: number): string {
  const passed = Math.max(0, Math.floor((now - ms) / 1000));
  if (passed < 10) {
    return 'just now';
  }
  for (const [size, unit] of [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min']
  ] as const) {
    if (passed >= size) {
      return `${Math.floor(passed / size)} ${unit} ago`;
    }
  }
  return `${passed} s ago`;
}

/** A duration in milliseconds. */
export function duration(ms: number | null): string {
  if (ms === null) {
    return '';
  }
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  if (ms < 60_000) {
    return `${(ms / 1000).toFixed(1)} s`;
  }
  return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
}

/** A measured number in four significant digits, as people write it. */
export function measured(value: Numeric): string {
  if (typeof value === 'string') {
    return { NaN: 'NaN', Infinity: '∞', '-Infinity': '−∞' }[value];
  }
  if (Number.isInteger(value) && Math.abs(value) < 1e6) {
    return value.toLocaleString('en');
  }
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    return value.toExponential(2);
  }
  return String(Number(value.toPrecision(4)));
}

/** A count, with thousands apart. */
export function counted(value: number): string {
  return value.toLocaleString('en');
}

/** A size in bytes. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let step = 0;
  let left = value;
  while (left >= 1000 && step < units.length - 1) {
    left /= 1000;
    step += 1;
  }
  return `${step === 0 ? left : left.toFixed(1)} ${units[step] ?? ''}`;
}

const MEASURED_ON_TRAINING = /^training_|^train_/;

/** The metrics of these runs, the one to show first: not measured on the training data, then what most runs have. */
export function metricOrder(runs: readonly Pick<IRun, 'metrics'>[]): string[] {
  const counts = new Map<string, number>();
  for (const run of runs) {
    for (const name of Object.keys(run.metrics)) {
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return [...counts.keys()].sort(
    (a, b) =>
      Number(MEASURED_ON_TRAINING.test(a)) -
        Number(MEASURED_ON_TRAINING.test(b)) ||
      (counts.get(b) ?? 0) - (counts.get(a) ?? 0) ||
      a.localeCompare(b)
  );
}

/** The metric that stands for a run, given the order for its neighbours. */
export function mainMetric(
  metrics: Record<string, Numeric>,
  order: readonly string[]
): { name: string; value: Numeric } | null {
  for (const name of order) {
    const value = metrics[name];
    if (value !== undefined) {
      return { name, value };
    }
  }
  return null;
}

/** A long metric name without what every neighbour says too. */
export function shortMetric(name: string): string {
  return name.replace(MEASURED_ON_TRAINING, '').replace(/_score$/, '');
}

/** An estimator by what it does: a pipeline by its last step, anything else by its own name. */
export function estimatorName(estimator: string): string {
  const steps = /^Pipeline\((.*)\)$/.exec(estimator)?.[1];
  const name = steps === undefined ? estimator : lastOf(steps);
  return name.replace(/\(.*$/, '');
}

/** The last of several names, each of which may have others in brackets. */
function lastOf(names: string): string {
  let depth = 0;
  for (let at = names.length - 1; at >= 0; at -= 1) {
    depth += names[at] === ')' ? 1 : names[at] === '(' ? -1 : 0;
    if (depth === 0 && names[at] === ',') {
      return names.slice(at + 1).trim();
    }
  }
  return names;
}

/** The data version among what a run or model used; a table that was not saved has only a digest. */
export function savedData(refs: readonly string[]): string {
  return refs.find(ref => /@v\d+$/.test(ref)) ?? '';
}

/** What was used, readable: a digest in its first characters. */
export function dataNames(refs: readonly string[]): string {
  return refs
    .map(ref => ref.replace(/#(?:b3:)?([0-9a-f]{8})[0-9a-f]*$/, ' ($1…)'))
    .join(', ');
}

/** What a drift report is of. */
export function subject(report: IReport): string {
  return report.deployment || report.model || report.reference;
}

/** How bad a drift report is. */
export function severity(report: IReport): 'ok' | 'drift' | 'unknown' {
  if (report.drifted.length) {
    return 'drift';
  }
  const judged = report.columns.some(column => column.drifted !== null);
  const serious = report.findings.some(f => f.severity === 'error');
  return judged && !serious ? 'ok' : 'unknown';
}

/** The folder's own name. */
export function folderName(path: string): string {
  return (
    path
      .replace(/[/\\]+$/, '')
      .split(/[/\\]/)
      .pop() ?? path
  );
}

/** A store's address without a password and without the path in front of a file. */
export function storeName(uri: string): string {
  if (uri.startsWith('sqlite:')) {
    return `SQLite · ${folderName(uri)}`;
  }
  return uri.replace(/\/\/[^@/]*@/, '//');
}
