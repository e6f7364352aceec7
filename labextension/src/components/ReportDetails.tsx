// A drift report's verdict column by column, as it was stored.

import { JSX, useState } from 'react';

import { measured } from '../format';
import { IColumnDrift, IReport, IScore } from '../tokens';
import { useShared } from './context';
import { Facts } from './Facts';

/** How many columns to show before asking for those that have not drifted. */
const SHOWN = 4;

export function ReportDetails(props: { report: IReport }): JSX.Element {
  const { report } = props;
  const { trans } = useShared();
  const [all, setAll] = useState(false);
  const columns = [...report.columns].sort((a, b) => rank(a) - rank(b));
  const shown = all
    ? columns
    : columns.filter((c, index) => word(c) !== 'ok' || index < SHOWN);
  const words = {
    drift: trans.__('drift'),
    ok: trans.__('ok'),
    unknown: trans.__('not judged')
  };
  const explained = (score: IScore) => {
    const p = score.adjusted_p_value;
    const value = trans.__(
      '%1 = %2, threshold %3',
      score.detector,
      measured(score.value),
      measured(score.threshold)
    );
    return p === null ? value : `${value}, adjusted p = ${measured(p)}`;
  };
  const findings = report.findings.filter(f => f.severity !== 'info');
  return (
    <>
      <p className="jp-MLOps-verdict">{report.verdict}</p>
      <Facts
        facts={[
          [trans.__('judged'), report.current],
          [trans.__('against'), report.reference]
        ]}
      />
      {findings.map(finding => (
        <p
          key={`${finding.column}-${finding.message}`}
          className={`jp-MLOps-finding jp-mod-${finding.severity}`}
        >
          {finding.message}
        </p>
      ))}
      <ul className="jp-MLOps-scores">
        {shown.map(column => (
          <li key={column.name}>
            <span className="jp-MLOps-scoreName" title={column.name}>
              {column.name}
            </span>
            <span className={`jp-MLOps-word jp-mod-${word(column)}`}>
              {words[word(column)]}
            </span>
            <span className="jp-MLOps-scoreList">
              {column.scores.map(score => (
                <span
                  key={score.detector}
                  className={score.alarm ? 'jp-mod-alarm' : ''}
                  title={explained(score)}
                >
                  {score.detector} {measured(score.value)}
                </span>
              ))}
            </span>
          </li>
        ))}
      </ul>
      {shown.length < columns.length && (
        <button className="jp-MLOps-link" onClick={() => setAll(true)}>
          {trans.__('and %1 more', columns.length - shown.length)}
        </button>
      )}
    </>
  );
}

function word(column: IColumnDrift): 'drift' | 'ok' | 'unknown' {
  return column.drifted === null ? 'unknown' : column.drifted ? 'drift' : 'ok';
}

function rank(column: IColumnDrift): number {
  return { drift: 0, unknown: 1, ok: 2 }[word(column)];
}
