// The panel's state: what each section lists, whether news arrive, what to tell the user. Knows no page and no HTTP.

import { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';

import { fetchSection, ISection, Sections, unknownSections } from './sections';
import { asNotice, INewsSource, IServer, ServerError } from './server';
import { IItems, INews, INotice, IStatus, Topic, TOPICS } from './tokens';

/** idle: not shown. live: news arrive. polling: they do not, we ask. ended: the service was ended by hand. lost: gave up. */
export type Connection =
  'idle' | 'connecting' | 'live' | 'polling' | 'ended' | 'lost';

export interface IOptions {
  server: IServer;
  news: INewsSource;
  /** How long to wait for the news that shows that news arrive, in milliseconds. */
  patience?: number;
}

const WATCH_AGAIN = 30_000;
const FAILURES_UNTIL_LOST = 5;
const SUCCESS_STAYS = 8_000;

export class PanelModel implements IDisposable {
  constructor(options: IOptions) {
    this._server = options.server;
    this._patience = options.patience ?? 5_000;
    this._listening = options.news.connect(news => this._hear(news));
    this._watching = new Poll({
      name: 'jupyter-mlops:watch',
      auto: false,
      factory: () => this._watch(),
      frequency: { interval: WATCH_AGAIN, backoff: 1.5, max: 60_000 },
      standby: 'when-hidden'
    });
    this._asking = new Poll({
      name: 'jupyter-mlops:fallback',
      auto: false,
      factory: () => (this._failures ? this._watch() : this.refresh()),
      frequency: { interval: 5_000, backoff: true, max: 60_000 },
      standby: 'when-hidden'
    });
  }

  /** Something has changed; look again. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get sections(): Sections {
    return this._sections;
  }

  get status(): IStatus | null {
    return this._status;
  }

  /** The workspace's project folder, empty until it is known. */
  get workspace(): string {
    return this._workspace;
  }

  get connection(): Connection {
    return this._connection;
  }

  /** Why the connection is lost. */
  get trouble(): INotice | null {
    return this._trouble;
  }

  get notices(): readonly INotice[] {
    return this._notices;
  }

  /** What is being carried out, in words, by the key of its item. */
  get busy(): ReadonlyMap<string, string> {
    return this._busy;
  }

  /** The ids of the runs picked for a comparison, in the order they were picked. */
  get picked(): readonly string[] {
    return this._picked;
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    if (!this._disposed) {
      this._disposed = true;
      this._watching.dispose();
      this._asking.dispose();
      this._listening.dispose();
      Signal.clearData(this);
    }
  }

  /** Begin to look, or look again at once. */
  start(): void {
    if (this._disposed) {
      return;
    }
    if (this._connection === 'idle') {
      this._connection = 'connecting';
      this._changed.emit();
    }
    void this._watching.start().catch(() => undefined);
    void this._watching.refresh().catch(() => undefined);
  }

  /** Stop looking: nothing is asked for and nothing kept alive for a panel that nobody sees. */
  stop(): void {
    void this._watching.stop().catch(() => undefined);
    void this._asking.stop().catch(() => undefined);
    if (this._connection !== 'lost') {
      this._connection = 'idle';
    }
  }

  /** Try again after having given up. */
  retry(): void {
    this._failures = 0;
    this._trouble = null;
    this._connection = 'idle';
    this.start();
    void this.refresh();
  }

  /** The folder or notebook that is worked in; tells which workspace to show. */
  setPath(path: string): void {
    if (path !== this._path) {
      this._path = path;
      if (this._connection !== 'idle' && this._connection !== 'lost') {
        void this._watching.refresh().catch(() => undefined);
      }
    }
  }

  setLimits(limits: { runs: number; refreshSeconds: number }): void {
    this._asking.frequency = {
      ...this._asking.frequency,
      interval: limits.refreshSeconds * 1000,
      max: Math.max(60_000, limits.refreshSeconds * 1000)
    };
    if (limits.runs !== this._runs) {
      this._runs = limits.runs;
      if (this._workspace) {
        void this._load('runs');
      }
    }
  }

  /** List this many more runs. */
  showMore(): void {
    this._runs += 50;
    void this._load('runs');
  }

  /** Load what the topics name, or everything. */
  async refresh(topics: readonly string[] = ['all']): Promise<void> {
    const all = topics.includes('all');
    const store = topics.includes('store'); // somebody wrote into MLflow's store directly
    const wanted = TOPICS.filter(
      topic =>
        all || topics.includes(topic) || (store && topic !== 'deployments')
    );
    await Promise.all([
      ...wanted.map(topic => this._load(topic)),
      this._loadStatus()
    ]);
  }

  /**
   * Carry out a command that changes something, and tell how it went.
   *
   * @param key The item it is done to; marked as busy meanwhile.
   * @param doing What is being done, in words.
   */
  async change<T>(
    command: string,
    args: Record<string, unknown>,
    key: string,
    doing: string
  ): Promise<T | null> {
    this._busy.set(key, doing);
    this._changed.emit();
    try {
      return await this._server.change<T>(command, args, this._path);
    } catch (error) {
      this.notify(asNotice(error));
      return null;
    } finally {
      this._busy.delete(key);
      this._changed.emit();
      if (this._connection !== 'live') {
        void this.refresh();
      }
    }
  }

  /** Ask for something that no section lists. */
  look<T>(command: string, args: Record<string, string>): Promise<T> {
    return this._server.read<T>(command, args, this._path);
  }

  notify(notice: INotice): void {
    const others = this._notices.filter(n => n.message !== notice.message);
    this._notices = [notice, ...others.slice(0, 2)];
    this._changed.emit();
    if (notice.level === 'success') {
      setTimeout(() => this.dismiss(notice), SUCCESS_STAYS);
    }
  }

  dismiss(notice: INotice): void {
    if (this._notices.includes(notice) && !this._disposed) {
      this._notices = this._notices.filter(n => n !== notice);
      this._changed.emit();
    }
  }

  /** Pick a run for a comparison, or drop it. */
  pick(id: string): void {
    this._picked = this._picked.includes(id)
      ? this._picked.filter(other => other !== id)
      : [...this._picked, id];
    this._changed.emit();
  }

  dropPicked(): void {
    this._picked = [];
    this._changed.emit();
  }

  private async _watch(): Promise<void> {
    if (this._connection === 'lost') {
      return;
    }
    const heard = this._heard;
    try {
      const watched = await this._server.watch(this._path);
      if (watched.workspace !== this._workspace) {
        this._workspace = watched.workspace;
        this._number = null;
        this._ended = false;
        this._sections = unknownSections();
        this._status = null;
        this._picked = [];
        this._changed.emit();
        void this.refresh();
      }
      this._number ??= watched.number;
      const arrives = await this._newsAfter(heard);
      this._failures = 0;
      if (this._disposed || this._unwatched()) {
        return;
      }
      if (arrives) {
        void this._asking.stop().catch(() => undefined);
        this._connect(this._ended ? 'ended' : 'live');
      } else {
        void this._asking.start().catch(() => undefined);
        this._connect('polling');
      }
    } catch (error) {
      this._fail(error);
      throw error; // the poll waits longer
    }
  }

  /** Whether any news have come since `heard` were heard; waits for them for a while. */
  private async _newsAfter(heard: number): Promise<boolean> {
    const deadline = Date.now() + this._patience;
    while (this._heard === heard && Date.now() < deadline && !this._disposed) {
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    return this._heard > heard;
  }

  private _unwatched(): boolean {
    return this._connection === 'idle' || this._connection === 'lost';
  }

  private _hear(news: INews): void {
    this._heard += 1; // even another workspace's news show that news arrive
    if (news.workspace !== this._workspace || this._unwatched()) {
      return;
    }
    const before = this._number;
    this._number = news.number;
    if (news.topics.includes('ended')) {
      this._ended = true;
      this._connect('ended');
      return;
    }
    if (news.topics.length && this._ended) {
      this._ended = false;
      this._connect('live');
    }
    const next =
      before === null ? news.number : before + (news.topics.length ? 1 : 0);
    if (news.number !== next) {
      void this.refresh(); // some did not arrive
    } else if (news.topics.length) {
      void this.refresh(news.topics);
    }
  }

  private _connect(connection: Connection): void {
    if (connection !== this._connection) {
      this._connection = connection;
      this._changed.emit();
    }
  }

  private _fail(error: unknown): void {
    const final = error instanceof ServerError && !error.passing;
    this._failures += 1;
    if (final || this._failures >= FAILURES_UNTIL_LOST) {
      this._trouble = asNotice(error);
      this._connect('lost');
      void this._watching.stop().catch(() => undefined);
      void this._asking.stop().catch(() => undefined);
    } else if (!this._unwatched()) {
      this._connect('connecting');
      void this._asking.start().catch(() => undefined);
    }
  }

  private async _load(topic: Topic): Promise<void> {
    if (this._loading.has(topic)) {
      this._again.add(topic); // once more when this is done, however many asked
      return;
    }
    this._loading.add(topic);
    try {
      do {
        this._again.delete(topic);
        await this._loadOnce(topic);
      } while (this._again.has(topic) && !this._disposed);
    } finally {
      this._loading.delete(topic);
    }
  }

  private async _loadOnce(topic: Topic): Promise<void> {
    const workspace = this._workspace;
    try {
      const section = await fetchSection(
        this._server,
        topic,
        this._path,
        this._runs,
        this._sections[topic]
      );
      if (workspace === this._workspace) {
        this._put(topic, section);
      }
    } catch (error) {
      if (workspace === this._workspace) {
        const section = { ...this._sections[topic], error: asNotice(error) };
        this._put(
          topic,
          section.state === 'unknown'
            ? { ...section, state: 'failed' }
            : section
        );
      }
    }
    this._changed.emit();
  }

  private _put(topic: Topic, section: ISection<IItems[Topic]>): void {
    this._sections = { ...this._sections, [topic]: section };
    if (topic === 'runs') {
      const ids = new Set(this._sections.runs.items.map(run => run.id));
      this._picked = this._picked.filter(id => ids.has(id));
    }
  }

  private async _loadStatus(): Promise<void> {
    try {
      this._status = await this._server.read<IStatus>('status', {}, this._path);
      this._changed.emit();
    } catch {
      // the sections tell what is wrong
    }
  }

  private readonly _server: IServer;
  private readonly _patience: number;
  private readonly _listening: IDisposable;
  private readonly _watching: Poll;
  private readonly _asking: Poll;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _loading = new Set<Topic>();
  private readonly _again = new Set<Topic>();
  private readonly _busy = new Map<string, string>();
  private _sections: Sections = unknownSections();
  private _status: IStatus | null = null;
  private _workspace = '';
  private _path = '';
  private _runs = 20;
  private _connection: Connection = 'idle';
  private _trouble: INotice | null = null;
  private _notices: readonly INotice[] = [];
  private _picked: readonly string[] = [];
  private _failures = 0;
  private _heard = 0;
  private _number: number | null = null;
  private _ended = false;
  private _disposed = false;
}
