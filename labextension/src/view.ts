// The renderer of our views: the static HTML at once, and a live widget in its place only when there really is one.

import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import {
  IRenderMime,
  IRenderMimeRegistry,
  MimeModel
} from '@jupyterlab/rendermime';
import { PanelLayout, Widget } from '@lumino/widgets';

import { VIEW_TYPE } from './tokens';

const HTML = 'text/html';
const WIDGET = 'application/vnd.jupyter.widget-view+json';

/** Before text/html, which stands beside it in every bundle of ours. */
const RANK = 30;

/** What a bundle holds under our type. */
interface IView {
  widget: string;
  html: string;
}

/** Draws one view with the renderers that its notebook has for HTML and for widgets. */
class ViewRenderer extends Widget implements IRenderMime.IRenderer {
  constructor(private readonly rendermime: IRenderMimeRegistry) {
    super();
    this.addClass('jp-MLOps-view');
    this.layout = new PanelLayout();
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const view = read(model.data[VIEW_TYPE]);
    this.clear();
    const html = this.rendermime.createRenderer(HTML);
    this.parts.addWidget(html);
    await html.renderModel(
      new MimeModel({ data: { [HTML]: view.html }, trusted: model.trusted })
    );
    if (view.widget && model.trusted && !this.isDisposed) {
      this.upgrade(view.widget, html);
    }
  }

  override dispose(): void {
    this.observer?.disconnect();
    super.dispose();
  }

  /** Let the widget's own renderer work out of sight, and show what it draws while that is a widget and no complaint. */
  private upgrade(id: string, html: Widget): void {
    let live: IRenderMime.IRenderer;
    try {
      live = this.rendermime.createRenderer(WIDGET);
    } catch {
      return; // this page has no widgets
    }
    live.hide();
    this.parts.addWidget(live);
    const choose = () => {
      const usable =
        live.node.querySelector('.lm-Widget *') !== null &&
        live.node.querySelector('.jupyter-widgets-error-widget') === null;
      live.setHidden(!usable);
      html.setHidden(usable);
    };
    this.observer = new MutationObserver(choose);
    this.observer.observe(live.node, { childList: true, subtree: true });
    const data = {
      [WIDGET]: { model_id: id, version_major: 2, version_minor: 0 }
    };
    live.renderModel(new MimeModel({ data, trusted: true })).then(
      choose,
      () => undefined // the HTML stays
    );
  }

  private clear(): void {
    this.observer?.disconnect();
    this.observer = null;
    for (const part of [...this.parts.widgets]) {
      part.dispose();
    }
  }

  private get parts(): PanelLayout {
    return this.layout as PanelLayout;
  }

  private observer: MutationObserver | null = null;
}

/** Draw our views in every notebook, and without widgets wherever else outputs are shown. */
export function registerView(
  tracker: INotebookTracker | null,
  everywhere: IRenderMimeRegistry | null
): void {
  const add = (rendermime: IRenderMimeRegistry) =>
    rendermime.addFactory(
      {
        safe: true, // what is not trusted is cleaned by the HTML's own renderer
        mimeTypes: [VIEW_TYPE],
        createRenderer: () => new ViewRenderer(rendermime)
      },
      RANK
    );
  if (everywhere !== null) {
    add(everywhere);
  }
  const addTo = (panel: NotebookPanel) => add(panel.content.rendermime);
  tracker?.forEach(addTo);
  tracker?.widgetAdded.connect((_, panel) => addTo(panel));
}

function read(data: unknown): IView {
  const view = (data ?? {}) as Partial<IView>;
  return { widget: view.widget ?? '', html: view.html ?? '' };
}
