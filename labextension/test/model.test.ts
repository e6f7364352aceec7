// The panel's state: live by news, by asking where none arrive, never both, and never for ever in vain.

import assert from 'node:assert/strict';
import { afterEach, describe, mock, test } from 'node:test';

import { PanelModel } from '../src/model';
import { keyOf } from '../src/sections';
import { IServer, IWatched, ServerError } from '../src/server';
import { INews } from '../src/tokens';

class Store implements IServer {
  asked: string[] = [];
  runs = [{ id: '1', name: 'first', metrics: {} }];
  number = 100;
  workspace = '/project';
  failing: ServerError | null = null;
  silent = false;
  news: (news: INews) => void = () => undefined;

  watch(): Promise<IWatched> {
    this.asked.push('watch');
    if (this.failing) {
      return Promise.reject(this.failing);
    }
    if (!this.silent) {
      this.tell();
    }
    const { workspace, number } = this;
    return Promise.resolve({ workspace, number, seconds: 90 });
  }

  read<T>(command: string): Promise<T> {
    this.asked.push(command);
    if (this.failing) {
      return Promise.reject(this.failing);
    }
    const tables: Record<string, unknown> = {
      runs: { runs: [...this.runs], more: false },
      'data log': { versions: [] },
      models: { versions: [] },
      deployments: { deployments: [] },
      reports: { reports: [] },
      alerts: { alerts: [] },
      status: { root: this.workspace, notes: [] }
    };
    return Promise.resolve(tables[command] as T);
  }

  change<T>(command: string): Promise<T> {
    this.asked.push(command);
    return this.failing
      ? Promise.reject(this.failing)
      : Promise.resolve({} as T);
  }

  tell(...topics: string[]): void {
    this.number += topics.length ? 1 : 0;
    const { workspace, number } = this;
    this.news({ workspace, topics, number });
  }

  /** How often a command was asked for since the last look. */
  since(command: string): number {
    const count = this.asked.filter(asked => asked === command).length;
    this.asked = [];
    return count;
  }
}

const made: PanelModel[] = [];

function make(): { store: Store; model: PanelModel } {
  const store = new Store();
  const model = new PanelModel({
    server: store,
    news: {
      connect: listener => {
        store.news = listener;
        return { dispose: () => undefined, isDisposed: false };
      }
    },
    patience: 60
  });
  made.push(model);
  return { store, model };
}

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !condition(); tries += 1) {
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  assert.ok(condition());
}

async function live(): Promise<{ store: Store; model: PanelModel }> {
  const both = make();
  both.model.start();
  await until(
    () =>
      both.model.connection === 'live' &&
      both.model.sections.reports.state === 'ready' &&
      both.model.status !== null
  );
  both.store.asked = [];
  return both;
}

describe('the panel model', () => {
  afterEach(() => {
    made.splice(0).forEach(model => model.dispose());
    mock.restoreAll();
  });

  test('asks for nothing before it is shown', async () => {
    const { store } = make();
    await new Promise(resolve => setTimeout(resolve, 30));
    assert.deepEqual(store.asked, []);
  });

  test('loads what the news name, and only that', async () => {
    const { store, model } = await live();
    store.runs = [...store.runs, { id: '2', name: 'second', metrics: {} }];
    store.tell('runs');
    await until(() => model.sections.runs.items.length === 2);
    assert.equal(store.asked.includes('models'), false);
    assert.deepEqual([...model.sections.runs.fresh], ['runs/2']);
  });

  test('loads everything when news were missed', async () => {
    const { store } = await live();
    store.number += 3;
    store.tell('data');
    await until(() => store.asked.includes('deployments'));
  });

  test('many news while it loads are one more look', async () => {
    const { store, model } = await live();
    for (let count = 0; count < 20; count += 1) {
      store.tell('runs');
    }
    await until(() => store.asked.length > 0);
    await model.refresh(['none']);
    assert.ok(store.since('runs') <= 3);
  });

  test("another workspace's news are not ours", async () => {
    const { store } = await live();
    store.news({ workspace: '/other', topics: ['runs'], number: 7 });
    await new Promise(resolve => setTimeout(resolve, 30));
    assert.equal(store.since('runs'), 0);
  });

  test('asks again and again only where news do not arrive', async () => {
    const { store, model } = make();
    store.silent = true;
    model.setLimits({ runs: 20, refreshSeconds: 0.02 });
    model.start();
    await until(() => model.connection === 'polling');
    store.asked = [];
    await until(() => store.asked.filter(a => a === 'runs').length > 2);
  });

  test('gives up on what will not get better, and tries again when told', async () => {
    const { store, model } = make();
    store.failing = new ServerError('no-extension', 'not enabled', 'do', 404);
    model.start();
    await until(() => model.connection === 'lost');
    assert.equal(model.trouble?.message, 'not enabled');
    store.failing = null;
    model.retry();
    await until(() => model.connection === 'live');
    assert.equal(model.trouble, null);
  });

  test('a service that was ended by hand is left alone until somebody asks', async () => {
    const { store, model } = await live();
    store.tell('ended');
    assert.equal(model.connection, 'ended');
    await new Promise(resolve => setTimeout(resolve, 30));
    assert.deepEqual(store.asked, []);
    store.tell('all');
    assert.equal(model.connection, 'live');
  });

  test('another workspace begins anew', async () => {
    const { store, model } = await live();
    model.pick('1');
    store.workspace = '/elsewhere';
    store.runs = [];
    model.setPath('elsewhere/n.ipynb');
    await until(
      () =>
        model.workspace === '/elsewhere' &&
        model.sections.runs.state === 'ready'
    );
    assert.deepEqual(model.picked, []);
  });

  test('a failed change is told with its hint, and nothing stays busy', async () => {
    const { store, model } = await live();
    store.failing = new ServerError('conflict', 'taken', 'another port', 409);
    const done = await model.change('deploy', {}, 'models/a', 'deploying');
    assert.equal(done, null);
    assert.equal(model.busy.size, 0);
    assert.deepEqual(
      model.notices.map(n => [n.message, n.hint]),
      [['taken', 'another port']]
    );
  });

  test('a section that cannot be loaded again keeps what it had', async () => {
    const { store, model } = await live();
    store.failing = new ServerError('store-unavailable', 'gone', '', 503);
    await model.refresh(['runs']);
    assert.equal(model.sections.runs.items.length, 1);
    assert.equal(model.sections.runs.error?.message, 'gone');
    store.failing = null;
    await model.refresh(['runs']);
    assert.equal(model.sections.runs.error, null);
  });

  test('items are told apart by id, reference or name', () => {
    assert.equal(keyOf('runs', { id: '1', name: 'n' } as never), 'runs/1');
    assert.equal(keyOf('data', { ref: 'a@v1' } as never), 'data/a@v1');
    assert.equal(keyOf('deployments', { name: 'd' } as never), 'deployments/d');
  });
});
