// The code that the panel puts into a notebook: plain Python over the package's public names and stock MLflow.

import { savedData } from './format';
import { IDataVersion, IDeployment, IModelVersion, IRun } from './tokens';

const IMPORT = 'import jupyter_mlops as mlops';

/** Code with what it needs imported, unless the notebook does that already. */
export function withImports(
  code: string,
  imports: readonly string[],
  sources: readonly string[]
): string {
  const lines = new Set(
    sources.flatMap(source => source.split('\n').map(line => line.trim()))
  );
  const missing = imports.filter(line => !lines.has(line));
  return missing.length ? `${missing.join('\n')}\n\n${code}` : code;
}

export interface ISnippet {
  code: string;
  imports: string[];
}

/** A cell to begin a run with. */
export function newRun(): ISnippet {
  return {
    code: '%%mlops run baseline\nmodel.fit(X_train, y_train)\nmodel.score(X_test, y_test)',
    imports: []
  };
}

/** Load what a run's fit has left. */
export function loadRunModel(run: IRun): ISnippet | null {
  const model = run.models[0];
  return model === undefined ? null : loadByUri(`models:/${model}`, 'sklearn');
}

export function compareRuns(ids: readonly string[]): ISnippet {
  const names = ids.map(id => quoted(id.slice(0, 12))).join(', ');
  return { code: `mlops.compare(${names})`, imports: [IMPORT] };
}

export function loadData(data: IDataVersion): ISnippet {
  return {
    code: `${variable(data.name, 'df')} = mlops.data.load(${quoted(data.ref)})`,
    imports: [IMPORT]
  };
}

/** What changed since the version before. */
export function diffData(data: IDataVersion): ISnippet | null {
  return data.version < 2
    ? null
    : {
        code: `mlops.data.diff(${quoted(`${data.name}@v${data.version - 1}`)}, ${quoted(data.ref)})`,
        imports: [IMPORT]
      };
}

export function loadModel(model: IModelVersion): ISnippet {
  return loadByUri(`models:/${model.name}/${model.version}`, model.flavor);
}

export function predict(
  deployment: IDeployment,
  model: IModelVersion | undefined
): ISnippet {
  const trained = savedData(model?.data ?? []);
  const name = quoted(deployment.name);
  if (trained !== '') {
    return {
      code: `rows = mlops.data.load(${quoted(trained)}).head()\nmlops.predict(${name}, rows)`,
      imports: [IMPORT]
    };
  }
  const record = JSON.stringify(example(model), null, 4)
    .replace(/\btrue\b/g, 'True')
    .replace(/\bfalse\b/g, 'False');
  return {
    code: `mlops.predict(${name}, [${model?.inputs.length ? record : '{"column": 0}'}])`,
    imports: [IMPORT]
  };
}

/** Where a table, run, model or deployment comes from, and what came of it. */
export function showLineage(thing: string): ISnippet {
  return { code: `mlops.lineage(${quoted(thing)})`, imports: [IMPORT] };
}

/** A model's worth on a data version. */
export function evaluateModel(model: IModelVersion): ISnippet {
  const data = savedData(model.data);
  const table = data ? quoted(data) : 'test';
  return {
    code: `mlops.evaluate(${quoted(model.ref)}, data=${table}, slices=["auto"], calibration=True)`,
    imports: [IMPORT]
  };
}

/** The notebook as a pipeline, run and compared with the notebook's own results. */
export function exportPipeline(folder: string): ISnippet {
  return {
    code: `mlops.export(output=${quoted(folder)})`,
    imports: [IMPORT]
  };
}

export function showDrift(name: string): ISnippet {
  return { code: `mlops.drift(${quoted(name)})`, imports: [IMPORT] };
}

/** How a deployment is doing by the hour. */
export function showPerformance(name: string): ISnippet {
  return {
    code: `mlops.performance(${quoted(name)}, every="1h")`,
    imports: [IMPORT]
  };
}

export function showReport(id: string): ISnippet {
  return {
    code: `mlops.report(${quoted(id.slice(0, 12))})`,
    imports: [IMPORT]
  };
}

/** A request from a shell; the token stays in its file. */
export function curl(
  deployment: IDeployment,
  model: IModelVersion | undefined
): string {
  const record = example(model);
  const body = JSON.stringify({
    dataframe_split: {
      columns: Object.keys(record),
      data: [Object.values(record)]
    }
  });
  return [
    `curl -s ${deployment.url}/invocations`,
    `  -H "Authorization: Bearer $(cat ${shellQuoted(deployment.token_file)})"`,
    "  -H 'Content-Type: application/json'",
    `  -d ${shellQuoted(body)}`
  ].join(' \\\n');
}

/** A row of the kind the model takes. */
function example(
  model: IModelVersion | undefined
): Record<string, string | number | boolean> {
  return Object.fromEntries(
    (model?.inputs ?? []).map(column => [column.name, sample(column.type)])
  );
}

function sample(type: string): string | number | boolean {
  const kind = type.toLowerCase();
  if (kind === 'boolean') {
    return false;
  }
  if (kind === 'datetime') {
    return '2026-01-31T12:00:00';
  }
  return ['string', 'str', 'object', 'binary'].includes(kind) ? 'text' : 0;
}

function loadByUri(uri: string, flavor: string): ISnippet {
  const loader = flavor === 'sklearn' ? 'mlflow.sklearn' : 'mlflow.pyfunc';
  return {
    code: [
      'mlflow.set_tracking_uri(mlops.status().tracking_uri)',
      `model = ${loader}.load_model(${quoted(uri)})`,
      'model'
    ].join('\n'),
    imports: [`import mlflow`, IMPORT]
  };
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const KEYWORDS = new Set(
  'and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with None True False'.split(
    ' '
  )
);

/** A name as a variable: what it is called, or what it is. */
export function variable(name: string, otherwise: string): string {
  const cleaned = name.replace(/[^A-Za-z0-9_]/g, '_');
  return /^[A-Za-z_]/.test(cleaned) && !KEYWORDS.has(cleaned)
    ? cleaned
    : otherwise;
}
