// The panel as a widget of JupyterLab's sidebar; it looks only while it is seen.

import { ReactWidget } from '@jupyterlab/apputils';
import { TranslationBundle } from '@jupyterlab/translation';
import { Message } from '@lumino/messaging';
import { JSX } from 'react';

import { Actions } from './actions';
import { Panel } from './components/Panel';
import { logoIcon } from './icons';
import { PanelModel } from './model';
import { PANEL_ID } from './tokens';

export class PanelWidget extends ReactWidget {
  constructor(
    private readonly model: PanelModel,
    private readonly actions: Actions,
    private readonly trans: TranslationBundle
  ) {
    super();
    this.id = PANEL_ID;
    this.addClass('jp-MLOps');
    this.title.icon = logoIcon;
    this.title.caption = trans.__('MLOps');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('MLOps'));
    document.addEventListener('visibilitychange', this.onVisibility);
  }

  override dispose(): void {
    document.removeEventListener('visibilitychange', this.onVisibility);
    super.dispose();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this.model.start();
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    if (this.isVisible) {
      this.model.start();
    }
  }

  protected override onBeforeHide(msg: Message): void {
    super.onBeforeHide(msg);
    this.model.stop();
  }

  protected override onActivateRequest(): void {
    const item = this.node.querySelector<HTMLElement>('[tabindex="0"]');
    item?.focus();
  }

  protected override render(): JSX.Element {
    return (
      <Panel model={this.model} actions={this.actions} trans={this.trans} />
    );
  }

  /** A tab that was hidden may have missed news. */
  private readonly onVisibility = () => {
    if (!document.hidden && this.isVisible) {
      this.model.start();
    }
  };
}
