// The current notebook: what it holds, and putting code into it.

import { ISessionContextDialogs } from '@jupyterlab/apputils';
import {
  INotebookTracker,
  NotebookActions,
  NotebookPanel
} from '@jupyterlab/notebook';
import { ITranslator } from '@jupyterlab/translation';

import { ISnippet, withImports } from './code';

/** Why code cannot be put into a notebook; null where it can. */
export type Obstacle = 'no-notebook' | 'not-python' | 'read-only' | null;

export class CurrentNotebook {
  constructor(
    private readonly tracker: INotebookTracker | null,
    private readonly dialogs: ISessionContextDialogs | null,
    private readonly translator: ITranslator
  ) {}

  get panel(): NotebookPanel | null {
    return this.tracker?.currentWidget ?? null;
  }

  /** Its path as Jupyter's contents know it, drive included; empty without one. */
  get path(): string {
    return this.panel?.context.path ?? '';
  }

  /** Make the last cell the current one. */
  toEnd(): void {
    const notebook = this.panel?.content;
    if (notebook) {
      notebook.activeCellIndex = notebook.widgets.length - 1;
    }
  }

  /** Put code into a new cell below the current one, or into the current one if it is empty. */
  async insert(
    snippet: ISnippet,
    options: { run: boolean }
  ): Promise<Obstacle> {
    const panel = this.panel;
    if (panel === null) {
      return 'no-notebook';
    }
    await panel.context.ready;
    const notebook = panel.content;
    const language = notebook.model?.defaultKernelLanguage;
    if (language && !/python/i.test(language)) {
      return 'not-python';
    }
    if (panel.context.model.readOnly) {
      return 'read-only';
    }
    // what runs at once brings its imports: those in other cells may not have run in this kernel
    const above = options.run
      ? []
      : notebook.widgets
          .slice(0, notebook.activeCellIndex + 1)
          .map(cell => cell.model.sharedModel.source);
    const current = notebook.activeCell;
    const empty =
      current?.model.type === 'code' &&
      current.model.sharedModel.source.trim() === '';
    if (!empty) {
      NotebookActions.insertBelow(notebook);
    }
    const cell = notebook.activeCell;
    if (cell === null) {
      return 'no-notebook';
    }
    cell.model.sharedModel.setSource(
      withImports(snippet.code, snippet.imports, above)
    );
    await notebook.scrollToItem(notebook.activeCellIndex, 'smart');
    if (options.run) {
      void NotebookActions.run(
        notebook,
        panel.sessionContext,
        this.dialogs ?? undefined,
        this.translator
      );
    } else {
      notebook.activate();
    }
    return null;
  }
}
