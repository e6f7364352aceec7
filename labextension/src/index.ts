// The plugins: the panel with its commands and settings, and the renderer of our views. Every token is optional, so
// that the same build loads in JupyterLab and in Notebook 7.

import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, ISessionContextDialogs } from '@jupyterlab/apputils';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { Event } from '@jupyterlab/services';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { DisposableDelegate } from '@lumino/disposable';

import { Actions } from './actions';
import { logoIcon, pipelineIcon } from './icons';
import { PanelModel } from './model';
import { CurrentNotebook } from './notebook';
import { PanelWidget } from './panel';
import { Server } from './request';
import { INewsSource } from './server';
import { Commands, EVENT_SCHEMA, INews, NAME, SETTINGS_ID } from './tokens';
import { registerView } from './view';

const panel: JupyterFrontEndPlugin<void> = {
  id: SETTINGS_ID,
  description:
    'The panel with the runs, data versions, models, deployments and drift of the workspace.',
  autoStart: true,
  optional: [
    INotebookTracker,
    ISettingRegistry,
    ILayoutRestorer,
    ITranslator,
    ICommandPalette,
    ISessionContextDialogs,
    IDefaultFileBrowser
  ],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker | null,
    settings: ISettingRegistry | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    dialogs: ISessionContextDialogs | null,
    browser: IDefaultFileBrowser | null
  ) => {
    const languages = translator ?? nullTranslator;
    const trans = languages.load('jupyter_mlops');
    const notebook = new CurrentNotebook(tracker, dialogs, languages);
    const model = new PanelModel({
      server: new Server(app.serviceManager.serverSettings),
      news: eventsOf(app)
    });
    const actions = new Actions(model, notebook, trans);
    const widget = new PanelWidget(model, actions, trans);

    const { contents } = app.serviceManager;
    const follow = () => {
      const path = notebook.path || browser?.model.path || '';
      model.setPath(contents.localPath(path));
    };
    tracker?.currentChanged.connect(follow);
    browser?.model.pathChanged.connect(follow);
    follow();

    addCommands(app, widget, model, actions, palette, trans.__.bind(trans));
    restorer?.add(widget, NAME);
    app.shell.add(widget, 'left', { rank: 650, type: 'MLOps' });
    void useSettings(app, settings, model);
  }
};

const view: JupyterFrontEndPlugin<void> = {
  id: `${NAME}:view`,
  description: 'Draws the results of jupyter-mlops, live where they can be.',
  autoStart: true,
  optional: [INotebookTracker, IRenderMimeRegistry],
  activate: (
    _app: JupyterFrontEnd,
    tracker: INotebookTracker | null,
    rendermime: IRenderMimeRegistry | null
  ) => registerView(tracker, rendermime)
};

function eventsOf(app: JupyterFrontEnd): INewsSource {
  const { stream } = app.serviceManager.events;
  return {
    connect: listener => {
      const slot = (_: unknown, emission: Event.Emission) => {
        if (emission.schema_id === EVENT_SCHEMA) {
          listener(emission as unknown as INews);
        }
      };
      stream.connect(slot);
      return new DisposableDelegate(() => stream.disconnect(slot));
    }
  };
}

function addCommands(
  app: JupyterFrontEnd,
  widget: PanelWidget,
  model: PanelModel,
  actions: Actions,
  palette: ICommandPalette | null,
  __: (text: string) => string
): void {
  app.commands.addCommand(Commands.show, {
    label: __('MLOps: Show panel'),
    caption: __('Runs, data versions, models, deployments and drift'),
    icon: logoIcon,
    execute: () => app.shell.activateById(widget.id)
  });
  app.commands.addCommand(Commands.refresh, {
    label: __('MLOps: Refresh panel'),
    execute: () =>
      model.connection === 'lost' ? model.retry() : model.refresh()
  });
  app.commands.addCommand(Commands.compare, {
    label: __('MLOps: Compare the picked runs'),
    isEnabled: () => model.picked.length > 1,
    execute: () => actions.compare(model.picked)
  });
  model.changed.connect(() =>
    app.commands.notifyCommandChanged(Commands.compare)
  );
  app.commands.addCommand(Commands.exportPipeline, {
    label: __('Export as pipeline'),
    caption: __('Export the notebook as a pipeline that gives its results'),
    icon: pipelineIcon,
    isEnabled: () => actions.hasNotebook,
    execute: () => actions.exportPipeline()
  });
  for (const command of Object.values(Commands)) {
    palette?.addItem({ command, category: __('MLOps') });
  }
}

async function useSettings(
  app: JupyterFrontEnd,
  registry: ISettingRegistry | null,
  model: PanelModel
): Promise<void> {
  if (registry === null) {
    return;
  }
  let settings: ISettingRegistry.ISettings;
  try {
    settings = await registry.load(SETTINGS_ID);
  } catch {
    return; // the schema is not served here: the defaults hold
  }
  const apply = () =>
    model.setLimits({
      runs: settings.get('runs').composite as number,
      refreshSeconds: settings.get('refreshInterval').composite as number
    });
  settings.changed.connect(apply);
  apply();
  if (settings.get('showAtStart').composite === true) {
    await app.restored;
    await app.commands.execute(Commands.show);
  }
}

export default [panel, view];
