// The server and its news as the panel's state sees them, and what it refused.

import { IDisposable } from '@lumino/disposable';

import { INews, INotice } from './tokens';

/** What a watch answers: which workspace it is, and the number of its latest news. */
export interface IWatched {
  workspace: string;
  seconds: number;
  number: number;
}

/** The server, as the model sees it. */
export interface IServer {
  /** Ask for news of the workspace around `path` for a while. */
  watch(path: string): Promise<IWatched>;
  /** Carry out a command that changes nothing. */
  read<T>(
    command: string,
    args: Record<string, string>,
    path: string
  ): Promise<T>;
  /** Carry out a command that changes something. */
  change<T>(
    command: string,
    args: Record<string, unknown>,
    path: string
  ): Promise<T>;
}

/** Where news come from: Jupyter's events. */
export interface INewsSource {
  connect(listener: (news: INews) => void): IDisposable;
}

/** What the server refused or could not do. */
export class ServerError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint: string,
    readonly status: number
  ) {
    super(message);
  }

  /** Whether asking again later may help, by itself. */
  get passing(): boolean {
    return this.status === 0 || this.status === 502 || this.status === 503;
  }
}

/** Anything that was thrown, as something to tell. */
export function asNotice(error: unknown): INotice {
  if (error instanceof ServerError) {
    return { level: 'error', message: error.message, hint: error.hint };
  }
  return {
    level: 'error',
    message: error instanceof Error ? error.message : String(error)
  };
}
