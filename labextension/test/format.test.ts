// Numbers, times and metrics are written as people read them.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as format from '../src/format';
import { IReport, IRun } from '../src/tokens';

describe('formats', () => {
  test('times', () => {
    const told = [0, 30_000, 90_000, 4 * 3_600_000, 3 * 86_400_000].map(ms =>
      format.ago(0, ms)
    );
    assert.deepEqual(told, [
      'just now',
      '30 s ago',
      '1 min ago',
      '4 h ago',
      '3 d ago'
    ]);
    assert.equal(format.ago(10_000, 0), 'just now'); // clocks differ
    assert.deepEqual([12, 3210, 75_000, null].map(format.duration), [
      '12 ms',
      '3.2 s',
      '1 min 15 s',
      ''
    ]);
  });

  test('measured numbers', () => {
    const told = [1, 0.98148, -0.5, 12345, 1e-7, 3e9, 0].map(format.measured);
    assert.deepEqual(told, [
      '1',
      '0.9815',
      '-0.5',
      '12,345',
      '1.00e-7',
      '3.00e+9',
      '0'
    ]);
    assert.deepEqual(
      (['NaN', 'Infinity', '-Infinity'] as const).map(format.measured),
      ['NaN', '∞', '−∞']
    );
  });

  test('the metric that matters is not measured on the training data', () => {
    const runs: Pick<IRun, 'metrics'>[] = [
      { metrics: { training_f1_score: 1, rare: 1, accuracy: 0.9 } },
      { metrics: { training_f1_score: 1, accuracy: 0.8 } },
      { metrics: { training_f1_score: 1 } }
    ];
    const order = format.metricOrder(runs);
    assert.deepEqual(order, ['accuracy', 'rare', 'training_f1_score']);
    const name = (index: number) =>
      format.mainMetric(runs[index]?.metrics ?? {}, order)?.name;
    assert.deepEqual([name(0), name(2)], ['accuracy', 'training_f1_score']);
    assert.equal(format.mainMetric({}, order), null);
    assert.equal(format.shortMetric('training_accuracy_score'), 'accuracy');
  });

  test('estimators by what they do', () => {
    assert.equal(
      format.estimatorName('Pipeline(StandardScaler, Ridge(x, y))'),
      'Ridge'
    );
    assert.equal(
      format.estimatorName('RandomForestClassifier(DecisionTreeClassifier)'),
      'RandomForestClassifier'
    );
    assert.equal(format.estimatorName(''), '');
  });

  test('data by version, and what was not saved by the beginning of its digest', () => {
    const refs = ['X#b3:19b85711af7d', 'wine@v2'];
    assert.equal(format.savedData(refs), 'wine@v2');
    assert.equal(format.dataNames(refs), 'X (19b85711…), wine@v2');
  });

  test('stores without their passwords', () => {
    assert.equal(
      format.storeName('sqlite:////a/b/mlflow.db'),
      'SQLite · mlflow.db'
    );
    assert.equal(
      format.storeName('https://me:secret@host/x'),
      'https://host/x'
    );
  });

  test('a report that could judge nothing is not a good one', () => {
    const column = { name: 'a', kind: 'numeric', scores: [] };
    const report = { drifted: [] as string[], findings: [], columns: [] };
    const of = (change: object) =>
      format.severity({ ...report, ...change } as unknown as IReport);
    assert.equal(of({ columns: [{ ...column, drifted: false }] }), 'ok');
    assert.equal(of({ columns: [{ ...column, drifted: null }] }), 'unknown');
    assert.equal(of({ drifted: ['a'] }), 'drift');
  });
});
