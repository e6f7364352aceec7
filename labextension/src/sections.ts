// The sections: what each lists, how it is asked for, and what came in since the last look.

import { IServer } from './server';
import { IItems, INotice, Topic } from './tokens';

export interface ISection<T> {
  readonly items: readonly T[];
  readonly state: 'unknown' | 'ready' | 'failed';
  readonly error: INotice | null;
  /** Whether the store holds more than is listed. */
  readonly more: boolean;
  /** The keys of what came in live, to be shown as new. */
  readonly fresh: ReadonlySet<string>;
}

export type Sections = { [T in Topic]: ISection<IItems[T]> };

/** How many reports are listed; each brings its columns' scores. */
const REPORTS = '10';

/** Ask for a section's items; `before` is what it listed until now. */
export async function fetchSection(
  server: IServer,
  topic: Topic,
  path: string,
  runs: number,
  before: ISection<IItems[Topic]>
): Promise<ISection<IItems[Topic]>> {
  const read = <T>(command: string, args: Record<string, string> = {}) =>
    server.read<T>(command, args, path);
  switch (topic) {
    case 'runs': {
      const table = await read<{ runs: IItems['runs'][]; more: boolean }>(
        'runs',
        { limit: String(runs), top: 'true' }
      );
      return ready(topic, before, table.runs, table.more);
    }
    case 'data':
    case 'models': {
      const table = await read<{ versions: IItems[typeof topic][] }>(
        topic === 'data' ? 'data log' : 'models'
      );
      return ready(topic, before, table.versions);
    }
    case 'deployments': {
      const table = await read<{ deployments: IItems['deployments'][] }>(
        'deployments'
      );
      return ready(topic, before, table.deployments);
    }
    case 'reports': {
      const table = await read<{ reports: IItems['reports'][] }>('reports', {
        limit: REPORTS
      });
      return ready(topic, before, table.reports);
    }
    case 'alerts': {
      const table = await read<{ alerts: IItems['alerts'][] }>('alerts', {
        limit: REPORTS
      });
      return ready(topic, before, table.alerts);
    }
  }
}

function ready(
  topic: Topic,
  before: ISection<IItems[Topic]>,
  items: IItems[Topic][],
  more = false
): ISection<IItems[Topic]> {
  const known = new Set(before.items.map(item => keyOf(topic, item)));
  const fresh =
    before.state === 'ready'
      ? items
          .map(item => keyOf(topic, item))
          .filter(key => !known.has(key) || before.fresh.has(key))
      : [];
  return { items, more, state: 'ready', error: null, fresh: new Set(fresh) };
}

/** What tells an item from the others of its section. */
export function keyOf<T extends Topic>(topic: T, item: IItems[T]): string {
  const fields = item as Partial<
    Record<'id' | 'ref' | 'name' | 'created_ms', string | number>
  >;
  return `${topic}/${fields.id ?? fields.ref ?? fields.name ?? ''}`;
}

/** Sections that nobody has asked for yet. */
export function unknownSections(): Sections {
  const unknown = {
    items: [],
    state: 'unknown',
    error: null,
    more: false,
    fresh: new Set<string>()
  } as const;
  return {
    runs: unknown,
    data: unknown,
    models: unknown,
    deployments: unknown,
    reports: unknown,
    alerts: unknown
  };
}
