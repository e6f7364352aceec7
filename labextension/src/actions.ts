// What can be done to each item, declared once: the row's buttons, its menu and its details all read these.

import {
  Clipboard,
  Dialog,
  InputDialog,
  showDialog
} from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import {
  copyIcon,
  LabIcon,
  launchIcon,
  stopIcon,
  undoIcon
} from '@jupyterlab/ui-components';

import * as code from './code';
import { subject } from './format';
import {
  compareIcon,
  driftIcon,
  insertIcon,
  lineageIcon,
  promoteIcon
} from './icons';
import { PanelModel } from './model';
import { keyOf } from './sections';
import { CurrentNotebook } from './notebook';
import {
  IAlert,
  IDataVersion,
  IDeployment,
  IModelVersion,
  INotice,
  IReport,
  IRollback,
  IRun
} from './tokens';

export interface IAction {
  id: string;
  label: string;
  icon: LabIcon;
  /** Shown as a button in the row; the others stand in its menu. */
  quick?: boolean;
  run: () => void;
}

export class Actions {
  constructor(
    readonly model: PanelModel,
    private readonly notebook: CurrentNotebook,
    private readonly trans: TranslationBundle
  ) {}

  get hasNotebook(): boolean {
    return this.notebook.panel !== null;
  }

  forRun(run: IRun): IAction[] {
    const { trans } = this;
    const load = code.loadRunModel(run);
    const picked = this.model.picked.includes(run.id);
    const actions: IAction[] = [];
    if (load !== null) {
      actions.push({
        id: 'load',
        label: trans.__('Insert load-model code'),
        icon: insertIcon,
        quick: true,
        run: () => this.insert(load)
      });
    }
    actions.push({
      id: 'pick',
      label: picked ? trans.__('Unpick') : trans.__('Pick to compare'),
      icon: compareIcon,
      run: () => this.model.pick(run.id)
    });
    const others = this.model.picked.filter(id => id !== run.id);
    if (others.length) {
      actions.push({
        id: 'compare',
        label: trans.__('Compare with the picked'),
        icon: compareIcon,
        run: () => this.compare([...others, run.id])
      });
    }
    actions.push(this.copying(run.id, trans.__('Copy run id')));
    return actions;
  }

  forData(data: IDataVersion): IAction[] {
    const { trans } = this;
    const diff = code.diffData(data);
    const actions: IAction[] = [
      {
        id: 'load',
        label: trans.__('Insert load code'),
        icon: insertIcon,
        quick: true,
        run: () => this.insert(code.loadData(data))
      }
    ];
    if (diff !== null) {
      actions.push({
        id: 'diff',
        label: trans.__('Show changes since v%1', data.version - 1),
        icon: compareIcon,
        run: () => this.insert(diff, true)
      });
    }
    actions.push({
      id: 'lineage',
      label: trans.__('Show lineage'),
      icon: lineageIcon,
      run: () => this.insert(code.showLineage(data.ref), true)
    });
    actions.push(this.copying(data.ref, trans.__('Copy reference')));
    return actions;
  }

  forModel(model: IModelVersion): IAction[] {
    const { trans } = this;
    return [
      {
        id: 'load',
        label: trans.__('Insert load code'),
        icon: insertIcon,
        quick: true,
        run: () => this.insert(code.loadModel(model))
      },
      {
        id: 'promote',
        label: trans.__('Promote…'),
        icon: promoteIcon,
        run: () => void this.promote(model)
      },
      {
        id: 'deploy',
        label: trans.__('Deploy…'),
        icon: launchIcon,
        quick: true,
        run: () => void this.deploy(model)
      },
      {
        id: 'evaluate',
        label: trans.__('Insert evaluation code'),
        icon: insertIcon,
        run: () => this.insert(code.evaluateModel(model))
      },
      {
        id: 'lineage',
        label: trans.__('Show lineage'),
        icon: lineageIcon,
        run: () => this.insert(code.showLineage(model.ref), true)
      },
      this.copying(model.ref, trans.__('Copy reference'))
    ];
  }

  forDeployment(deployment: IDeployment): IAction[] {
    const { trans } = this;
    const model = this.model.sections.models.items.find(
      version => version.ref === deployment.model
    );
    const actions: IAction[] = [
      {
        id: 'predict',
        label: trans.__('Insert predict code'),
        icon: insertIcon,
        quick: true,
        run: () => this.insert(code.predict(deployment, model))
      },
      {
        id: 'drift',
        label: trans.__('Show drift'),
        icon: driftIcon,
        quick: true,
        run: () => this.insert(code.showDrift(deployment.name), true)
      },
      {
        id: 'curl',
        label: trans.__('Copy as curl'),
        icon: copyIcon,
        run: () =>
          this.copy(
            code.curl(deployment, model),
            trans.__(
              'The curl request is on the clipboard; it reads the token from its file.'
            )
          )
      }
    ];
    if (deployment.state !== 'stopped') {
      actions.push({
        id: 'rollback',
        label: trans.__('Roll back…'),
        icon: undoIcon,
        run: () => void this.rollback(deployment)
      });
      actions.push({
        id: 'stop',
        label: trans.__('Stop…'),
        icon: stopIcon,
        run: () => void this.stop(deployment)
      });
    }
    return actions;
  }

  forReport(report: IReport): IAction[] {
    const { trans } = this;
    const actions: IAction[] = [
      {
        id: 'report',
        label: trans.__('Show report'),
        icon: insertIcon,
        quick: true,
        run: () => this.insert(code.showReport(report.id), true)
      }
    ];
    if (report.deployment || report.model) {
      actions.push({
        id: 'drift',
        label: trans.__('Measure again'),
        icon: driftIcon,
        quick: true,
        run: () => this.insert(code.showDrift(subject(report)), true)
      });
    }
    return actions;
  }

  forAlert(alert: IAlert): IAction[] {
    const { trans } = this;
    return [
      {
        id: 'drift',
        label: trans.__('Show drift'),
        icon: driftIcon,
        quick: true,
        run: () => this.insert(code.showDrift(alert.deployment), true)
      },
      {
        id: 'performance',
        label: trans.__('Show performance'),
        icon: insertIcon,
        run: () => this.insert(code.showPerformance(alert.deployment), true)
      }
    ];
  }

  /** Put code into the current notebook, or say why not. */
  insert(snippet: code.ISnippet, run = false): void {
    const { trans } = this;
    void this.notebook.insert(snippet, { run }).then(obstacle => {
      if (obstacle === null) {
        return;
      }
      const text = code.withImports(snippet.code, snippet.imports, []);
      const notice: INotice = {
        level: 'info',
        message: {
          'no-notebook': trans.__('No notebook is open.'),
          'not-python': trans.__('The current notebook is not a Python one.'),
          'read-only': trans.__('The current notebook cannot be changed.')
        }[obstacle],
        hint: trans.__(
          'Open a Python notebook: the code goes below its current cell.'
        ),
        action: {
          label: trans.__('Copy the code'),
          run: () => {
            this.model.dismiss(notice);
            this.copy(text, trans.__('The code is on the clipboard.'));
          }
        }
      };
      this.model.notify(notice);
    });
  }

  compare(ids: readonly string[]): void {
    this.insert(code.compareRuns(ids), true);
    this.model.dropPicked();
  }

  copy(text: string, told: string): void {
    Clipboard.copyToSystem(text);
    this.model.notify({ level: 'success', message: told });
  }

  private copying(text: string, label: string): IAction {
    const told = this.trans.__('%1 is on the clipboard.', text);
    return {
      id: 'copy',
      label,
      icon: copyIcon,
      run: () => this.copy(text, told)
    };
  }

  private async promote(model: IModelVersion): Promise<void> {
    const { trans } = this;
    const used = this.model.sections.models.items.flatMap(m => m.aliases);
    const aliases = [...new Set(['champion', 'challenger', ...used])];
    const answer = await InputDialog.getItem({
      title: trans.__('Promote %1', model.ref),
      label: trans.__('The alias that points to this version from now on'),
      items: aliases.filter(alias => !model.aliases.includes(alias)),
      editable: true,
      okLabel: trans.__('Promote')
    });
    const alias = answer.value?.trim();
    if (!answer.button.accept || !alias) {
      return;
    }
    const done = await this.model.change<{ previous: number | null }>(
      'promote',
      { model: model.ref, to: alias },
      keyOf('models', model),
      trans.__('promoting')
    );
    if (done !== null) {
      const before =
        done.previous !== null && done.previous !== model.version
          ? trans.__('before that it was version %1', done.previous)
          : undefined;
      this.model.notify({
        level: 'success',
        message: trans.__('%1 is now %2@%3', model.ref, model.name, alias),
        hint: before
      });
    }
  }

  private async deploy(model: IModelVersion): Promise<void> {
    const { trans } = this;
    const answer = await InputDialog.getText({
      title: trans.__('Deploy %1', model.ref),
      label: trans.__(
        'The name of the deployment; one that exists is replaced without a gap'
      ),
      text: model.name,
      okLabel: trans.__('Deploy')
    });
    const name = answer.value?.trim();
    if (!answer.button.accept || !name) {
      return;
    }
    const done = await this.model.change<IDeployment>(
      'deploy',
      { model: model.ref, name },
      keyOf('models', model),
      trans.__('deploying')
    );
    if (done !== null) {
      this.model.notify({
        level: 'success',
        message: trans.__('%1 serves %2', done.name, done.model),
        hint: done.url
      });
    }
  }

  /** Put the export of the current notebook into a cell at its end and run it: the verdicts show there. */
  async exportPipeline(): Promise<void> {
    const { trans } = this;
    const answer = await InputDialog.getText({
      title: trans.__('Export as pipeline'),
      label: trans.__(
        'The folder to make. What was executed is cut down to what the results need, run in a fresh process, and compared.'
      ),
      text: 'pipeline',
      okLabel: trans.__('Export')
    });
    const folder = answer.value?.trim();
    if (answer.button.accept && folder) {
      this.notebook.toEnd();
      this.insert(code.exportPipeline(folder), true);
    }
  }

  private async rollback(deployment: IDeployment): Promise<void> {
    const { trans } = this;
    const answer = await InputDialog.getText({
      title: trans.__('Roll %1 back?', deployment.name),
      label: trans.__(
        'The alias and the deployment go back to the version before %1. Why, for the history:',
        deployment.model
      ),
      okLabel: trans.__('Roll back')
    });
    if (!answer.button.accept) {
      return;
    }
    const done = await this.model.change<IRollback>(
      'rollback',
      { model: deployment.name, reason: answer.value?.trim() ?? '' },
      keyOf('deployments', deployment),
      trans.__('rolling back')
    );
    if (done !== null) {
      this.model.notify({
        level: 'success',
        message: trans.__(
          '%1@%2 is version %3 again',
          done.model,
          done.alias,
          done.version
        )
      });
    }
  }

  private async stop(deployment: IDeployment): Promise<void> {
    const { trans } = this;
    const answer = await showDialog({
      title: trans.__('Stop %1?', deployment.name),
      body: trans.__(
        '%1 answers no more requests then. Its inference log stays.',
        deployment.url
      ),
      buttons: [
        Dialog.cancelButton(),
        Dialog.warnButton({ label: trans.__('Stop') })
      ]
    });
    if (!answer.button.accept) {
      return;
    }
    const done = await this.model.change<IDeployment>(
      'undeploy',
      { name: deployment.name },
      keyOf('deployments', deployment),
      trans.__('stopping')
    );
    if (done !== null) {
      this.model.notify({
        level: 'success',
        message: trans.__('%1 has stopped', deployment.name)
      });
    }
  }
}
