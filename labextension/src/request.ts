// The only file that speaks HTTP: one function a kind of request, and one error for whatever goes wrong.

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import { IServer, IWatched, ServerError } from './server';

/** The extension's routes on Jupyter's server. */
export class Server implements IServer {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  watch(path: string): Promise<IWatched> {
    return this.ask<IWatched>('watch', { path });
  }

  read<T>(
    command: string,
    args: Record<string, string>,
    path: string
  ): Promise<T> {
    return this.ask<T>(`commands/${encodeURIComponent(command)}`, {
      ...args,
      path
    });
  }

  change<T>(
    command: string,
    args: Record<string, unknown>,
    path: string
  ): Promise<T> {
    return this.ask<T>(
      `commands/${encodeURIComponent(command)}`,
      {},
      {
        method: 'POST',
        body: JSON.stringify({ path, arguments: args })
      }
    );
  }

  private async ask<T>(
    route: string,
    query: Record<string, string>,
    init: RequestInit = {}
  ): Promise<T> {
    const url =
      URLExt.join(this.settings.baseUrl, 'jupyter-mlops/api', route) +
      URLExt.objectToQueryString(query);
    let response: Response;
    try {
      // not 'no-store', for which a time would be added to the query
      const asked: RequestInit = { cache: 'no-cache', ...init };
      response = await ServerConnection.makeRequest(url, asked, this.settings);
    } catch (error) {
      throw new ServerError(
        'unreachable',
        "Jupyter's server does not answer.",
        error instanceof Error ? error.message : '',
        0
      );
    }
    const text = await response.text();
    const told = parse(text);
    if (!response.ok) {
      throw failure(response, told);
    }
    return told as T;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function failure(response: Response, told: unknown): ServerError {
  const said = (told ?? {}) as {
    code?: string;
    message?: string;
    hint?: string;
  };
  if (response.status === 404 && said.code === undefined) {
    return new ServerError(
      'no-extension',
      "The server part of jupyter-mlops is not enabled in Jupyter's environment.",
      'Install jupyter-mlops there, or run `jupyter server extension enable jupyter_mlops`, and restart Jupyter.',
      404
    );
  }
  if (response.status === 401 || response.status === 403) {
    return new ServerError(
      'forbidden',
      said.message ?? 'You may not do this.',
      'Log in to Jupyter again, or ask who runs it.',
      response.status
    );
  }
  return new ServerError(
    said.code ?? 'error',
    said.message ?? `${response.status} ${response.statusText}`,
    said.hint ?? '',
    response.status
  );
}
