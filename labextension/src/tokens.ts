// What the layers share: the nouns as the server tells them, topics, and the names JupyterLab knows us by.

export const NAME = 'jupyter-mlops';
export const PANEL_ID = 'jupyter-mlops-panel';
export const SETTINGS_ID = 'jupyter-mlops:panel';
export const EVENT_SCHEMA =
  'https://events.jupyter.org/jupyter_mlops/changed/v1';
export const VIEW_TYPE = 'application/vnd.jupyter-mlops.view+json';

export const Commands = {
  exportPipeline: 'jupyter-mlops:export-as-pipeline',
  show: 'jupyter-mlops:show-panel',
  refresh: 'jupyter-mlops:refresh',
  compare: 'jupyter-mlops:compare-selected-runs'
} as const;

/** JSON has no NaN and no infinity; the server sends their names. */
export type Numeric = number | 'NaN' | 'Infinity' | '-Infinity';

export interface IRun {
  id: string;
  name: string;
  status: 'RUNNING' | 'FINISHED' | 'FAILED' | 'KILLED' | 'SCHEDULED';
  started_ms: number;
  ended_ms: number | null;
  duration_ms: number | null;
  metrics: Record<string, Numeric>;
  params: Record<string, string>;
  data: string[];
  models: string[];
  notebook: string;
  commit: string;
  user: string;
  source: string;
  reason: string;
  parent: string;
  trust: 'reproducible' | 'consistent' | 'stale' | 'unknown';
  trust_reasons: Record<string, string>;
  superseded_by: string;
  facts: Record<string, string>;
}

export interface IColumn {
  name: string;
  type: string;
}

export interface IDataVersion {
  ref: string;
  name: string;
  version: number;
  digest: string;
  rows: number;
  columns: IColumn[];
  bytes: number;
  created_ms: number;
  created_by: string;
  used_by: string[];
  branch: string;
  sources: string[];
}

export interface IModelVersion {
  ref: string;
  name: string;
  version: number;
  aliases: string[];
  run_id: string;
  flavor: string;
  format: string;
  estimator: string;
  inputs: IColumn[];
  outputs: IColumn[];
  data: string[];
  profile: boolean;
  metrics: Record<string, Numeric>;
  created_ms: number;
  created_by: string;
  notes: string[];
}

export interface IDeployment {
  name: string;
  model: string;
  asked: string;
  state: 'starting' | 'running' | 'restarting' | 'failed' | 'stopped';
  url: string;
  started_ms: number;
  restarts: number;
  predictions: number;
  token_file: string;
  log: string;
  error: string;
  workers: IWorker[];
  versions: IServedVersion[];
  traffic: { sticky: string; holdout: number; decisions: IDecision[] };
  not_logged: number;
  turned_away: Record<string, number>;
}

export interface IWorker {
  pid: number;
  health: string;
  memory: number;
}

/** One of the model versions that a deployment answers with. */
export interface IServedVersion {
  model: string;
  role: 'stable' | 'canary' | 'shadow' | 'kept';
  weight: number;
  path: string;
  path_reason: string;
  requests: number;
  refused: number;
  errors: number;
  p50_ms: number | null;
  p99_ms: number | null;
}

/** What a deployment has decided by itself, and why. */
export interface IDecision {
  time_ms: number;
  what: string;
  why: string;
}

/** What one gate needs before a promotion, and what there is. */
export interface IGateResult {
  gate: string;
  needed: string;
  found: string;
  verdict: 'passed' | 'failed' | 'not judged';
  hint: string;
}

export interface IGateReport {
  model: string;
  alias: string;
  results: IGateResult[];
  notes: string[];
}

export interface IRollback {
  model: string;
  alias: string;
  version: number;
  previous: number | null;
}

export interface IScore {
  detector: string;
  value: Numeric;
  threshold: Numeric;
  alarm: boolean;
  adjusted_p_value: Numeric | null;
}

export interface IColumnDrift {
  name: string;
  kind: string;
  drifted: boolean | null;
  scores: IScore[];
}

export interface IFinding {
  column: string;
  message: string;
  severity: 'info' | 'warning' | 'error';
}

export interface IReport {
  id: string;
  reference: string;
  current: string;
  current_rows: number;
  created_ms: number;
  model: string;
  deployment: string;
  verdict: string;
  drifted: string[];
  columns: IColumnDrift[];
  findings: IFinding[];
}

export interface IStatus {
  root: string;
  tracking_uri: string;
  experiment: string;
  runs: number;
  running: number;
  notes: string[];
}

/** What each section lists. */
/** A rule of a monitor that was broken. */
export interface IAlert {
  id: string;
  deployment: string;
  model: string;
  rule: string;
  told: string;
  opened_ms: number;
  value: Numeric | null;
  resolved_ms: number | null;
  silenced: boolean;
}

export interface IItems {
  runs: IRun;
  data: IDataVersion;
  models: IModelVersion;
  deployments: IDeployment;
  reports: IReport;
  alerts: IAlert;
}

export type Topic = keyof IItems;
export const TOPICS: readonly Topic[] = [
  'runs',
  'data',
  'models',
  'deployments',
  'reports',
  'alerts'
];

/** One news of a workspace, as the server emits it. */
export interface INews {
  workspace: string;
  topics: string[];
  number: number;
}

/** Something to tell the user: what happened and what to do next. */
export interface INotice {
  level: 'info' | 'success' | 'warning' | 'error';
  message: string;
  hint?: string;
  action?: { label: string; run: () => void };
}
