// What must hold before a model version becomes champion, and whether it does; asked for when a row is opened.

import { JSX, useEffect, useState } from 'react';

import { IGateReport, IGateResult } from '../tokens';
import { useShared } from './context';

const CHAMPION = 'champion';

export function GateDetails(props: { model: string }): JSX.Element | null {
  const { model, trans } = useShared();
  const [report, setReport] = useState<IGateReport | null>(null);
  useEffect(() => {
    let wanted = true;
    model
      .look<IGateReport>('gates', { model: props.model, to: CHAMPION })
      .then(found => wanted && setReport(found))
      .catch(() => undefined); // promoting tells what is wrong
    return () => {
      wanted = false;
    };
  }, [model, props.model]);
  if (!report?.results.length) {
    return null;
  }
  const words: Record<IGateResult['verdict'], string> = {
    passed: trans.__('ok'),
    failed: trans.__('failed'),
    'not judged': trans.__('not judged')
  };
  const tones = { passed: 'ok', failed: 'drift', 'not judged': 'unknown' };
  return (
    <>
      <div className="jp-MLOps-heading">{trans.__('Gates to champion')}</div>
      <ul className="jp-MLOps-scores">
        {report.results.map(gate => (
          <li key={`${gate.gate}-${gate.needed}`} title={gate.hint}>
            <span className="jp-MLOps-scoreName" title={gate.gate}>
              {gate.gate}
            </span>
            <span className={`jp-MLOps-word jp-mod-${tones[gate.verdict]}`}>
              {words[gate.verdict]}
            </span>
            <span className="jp-MLOps-scoreList">
              <span>{trans.__('needed: %1', gate.needed)}</span>
              <span>{trans.__('found: %1', gate.found)}</span>
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}
