// The code that is put into notebooks is what a person would write, and runs as it stands.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as code from '../src/code';
import { IDataVersion, IDeployment, IModelVersion, IRun } from '../src/tokens';

const run = { id: 'a'.repeat(32), models: ['m-1'] } as unknown as IRun;
const data = { ref: 'adult@v3', name: 'adult', version: 3 } as IDataVersion;
const model = {
  name: 'clf',
  version: 7,
  ref: 'clf@7',
  flavor: 'sklearn',
  data: ['X#b3:00', 'adult@v3'],
  inputs: [
    { name: 'age', type: 'long' },
    { name: "it's", type: 'string' },
    { name: 'new', type: 'boolean' }
  ]
} as unknown as IModelVersion;
const deployment = {
  name: 'clf',
  url: 'http://127.0.0.1:5001',
  token_file: "/home/o'hara/token"
} as IDeployment;

describe('inserted code', () => {
  test('imports once what it needs, and nothing that the notebook imports already', () => {
    const { code: text, imports } = code.loadData(data);
    assert.equal(
      code.withImports(text, imports, ['x = 1']),
      'import jupyter_mlops as mlops\n\nadult = mlops.data.load("adult@v3")'
    );
    assert.equal(
      code.withImports(text, imports, ['y\n  import jupyter_mlops as mlops\n']),
      'adult = mlops.data.load("adult@v3")'
    );
  });

  test('names variables that Python takes', () => {
    assert.equal(code.variable('adult-income.v2', 'df'), 'adult_income_v2');
    assert.equal(code.variable('2024', 'df'), 'df');
    assert.equal(code.variable('class', 'df'), 'df');
  });

  test('loads models through stock MLflow', () => {
    assert.match(
      code.loadModel(model).code,
      /mlflow\.sklearn\.load_model\("models:\/clf\/7"\)/
    );
    assert.match(
      code.loadRunModel(run)?.code ?? '',
      /load_model\("models:\/m-1"\)/
    );
    assert.equal(code.loadRunModel({ ...run, models: [] }), null);
    const other = { ...model, flavor: 'xgboost' };
    assert.match(code.loadModel(other).code, /mlflow\.pyfunc\.load_model/);
  });

  test('compares by ids that stay unique', () => {
    assert.equal(
      code.compareRuns([run.id, 'b'.repeat(32)]).code,
      'mlops.compare("aaaaaaaaaaaa", "bbbbbbbbbbbb")'
    );
  });

  test('shows a difference only where there is a version before', () => {
    assert.equal(
      code.diffData(data)?.code,
      'mlops.data.diff("adult@v2", "adult@v3")'
    );
    assert.equal(code.diffData({ ...data, version: 1 }), null);
  });

  test('asks a deployment with the data it was trained on, else with a row of its kind', () => {
    assert.match(
      code.predict(deployment, model).code,
      /mlops\.data\.load\("adult@v3"\)\.head\(\)/
    );
    const unsaved = code.predict(deployment, { ...model, data: [] }).code;
    assert.match(unsaved, /"age": 0/);
    assert.match(unsaved, /"new": False/);
  });

  test('keeps the token in its file, and quotes for the shell', () => {
    const text = code.curl(deployment, model);
    assert.match(text, /Bearer \$\(cat '\/home\/o'\\''hara\/token'\)/);
    assert.match(text, /"columns":\["age","it'\\''s","new"\]/);
    assert.match(text, /"data":\[\[0,"text",false\]\]/);
  });
});
