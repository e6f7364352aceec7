// Our own icons, drawn for 16 pixels; the classes let JupyterLab colour them by theme.

import { LabIcon } from '@jupyterlab/ui-components';

function icon(name: string, body: string): LabIcon {
  return new LabIcon({
    name: `jupyter-mlops:${name}`,
    svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 16 16">${body}</svg>`
  });
}

/** Only the stroke carries the class: JupyterLab would fill whatever names a fill. */
function outlined(drawn: string, width: number): string {
  return `<g fill="none"><g class="jp-icon3" stroke="#616161" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round">${drawn}</g></g>`;
}

function lines(...paths: string[]): string {
  const drawn = paths.map(d => `<path d="${d}"/>`).join('');
  return outlined(drawn, 1.3);
}

/** The loop around a model's growing worth. */
export const logoIcon = icon(
  'logo',
  outlined(
    `<path d="M13.9 6.2A6.2 6.2 0 1 0 14.1 9.4"/><path d="M14.4 2.9v3.5h-3.5"/>
    <path d="M5.6 10.4v-1.6M8 10.4V7M10.4 10.4V5.6" stroke-width="1.5"/>`,
    1.4
  )
);

export const runsIcon = icon(
  'runs',
  lines(
    'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8z',
    'M6.6 5.6v4.8L10.4 8z'
  )
);

export const dataIcon = icon(
  'data',
  lines(
    'M2.8 3.8c0-1.1 2.3-2 5.2-2s5.2.9 5.2 2-2.3 2-5.2 2-5.2-.9-5.2-2z',
    'M2.8 3.8v8.4c0 1.1 2.3 2 5.2 2s5.2-.9 5.2-2V3.8',
    'M2.8 8c0 1.1 2.3 2 5.2 2s5.2-.9 5.2-2'
  )
);

export const modelsIcon = icon(
  'models',
  lines(
    'M8 1.6 13.6 4.8v6.4L8 14.4 2.4 11.2V4.8z',
    'M2.6 4.9 8 8l5.4-3.1',
    'M8 8v6.2'
  )
);

export const deploymentsIcon = icon(
  'deployments',
  lines(
    'M3.2 2.4h9.6a1 1 0 0 1 1 1v2.8a1 1 0 0 1-1 1H3.2a1 1 0 0 1-1-1V3.4a1 1 0 0 1 1-1z',
    'M3.2 8.8h9.6a1 1 0 0 1 1 1v2.8a1 1 0 0 1-1 1H3.2a1 1 0 0 1-1-1V9.8a1 1 0 0 1 1-1z',
    'M4.8 4.8h.01M4.8 11.2h.01M7.6 4.8h3.6M7.6 11.2h3.6'
  )
);

export const driftIcon = icon(
  'drift',
  lines(
    'M1.6 12.6c2.2 0 2.4-7.6 4.6-7.6s2.4 7.6 4.6 7.6',
    'M6.4 12.6c1.8 0 2-9.6 4.2-9.6s2.2 9.6 3.8 9.6'
  )
);

export const insertIcon = icon(
  'insert',
  lines(
    'M5.4 4.4 1.8 8l3.6 3.6',
    'M10.6 4.4 14.2 8l-3.6 3.6',
    'M9.1 2.8 6.9 13.2'
  )
);

export const compareIcon = icon(
  'compare',
  lines(
    'M5.4 2.6v10.8',
    'M10.6 2.6v10.8',
    'M2.6 5.4h5.6M2.6 8h5.6M2.6 10.6h5.6',
    'M8 4.2h5.4M8 11.8h5.4'
  )
);

export const promoteIcon = icon(
  'promote',
  lines('M8 13.6V6', 'M4.6 9 8 5.6 11.4 9', 'M3 2.6h10')
);

export const alertsIcon = icon(
  'alerts',
  lines(
    'M8 2.2c2.4 0 3.9 1.8 3.9 4.2v2.4l1.5 2.6H2.6l1.5-2.6V6.4C4.1 4 5.6 2.2 8 2.2z',
    'M6.6 13.4a1.5 1.5 0 0 0 2.8 0'
  )
);

export const lineageIcon = icon(
  'lineage',
  lines(
    'M3.4 3.4h.01M3.4 12.6h.01M12.6 8h.01',
    'M2 3.4a1.4 1.4 0 1 0 2.8 0 1.4 1.4 0 1 0-2.8 0z',
    'M2 12.6a1.4 1.4 0 1 0 2.8 0 1.4 1.4 0 1 0-2.8 0z',
    'M11.2 8a1.4 1.4 0 1 0 2.8 0 1.4 1.4 0 1 0-2.8 0z',
    'M4.8 3.4c4 0 3 4.6 6.4 4.6M4.8 12.6c4 0 3-4.6 6.4-4.6'
  )
);

export const pipelineIcon = icon(
  'pipeline',
  lines(
    'M1.8 2.6h4.4v3.6H1.8z',
    'M9.8 9.8h4.4v3.6H9.8z',
    'M4 6.2v3.4a2 2 0 0 0 2 2h3.4',
    'M7.6 9.8 9.4 11.6 7.6 13.4'
  )
);
