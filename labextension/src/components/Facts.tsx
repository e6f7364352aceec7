// What a row's details are made of: names beside values, and code.

import { Fragment, JSX, useState } from 'react';

import { useShared } from './context';

/** A name and its value; one without a value is left out. */
export type IFact = [name: string, value: string];

interface IFactsProps {
  title?: string;
  facts: IFact[];
  /** How many to show before asking for the rest. */
  limit?: number;
}

export function Facts(props: IFactsProps): JSX.Element | null {
  const { trans } = useShared();
  const [all, setAll] = useState(false);
  const facts = props.facts.filter(([, value]) => value !== '');
  if (!facts.length) {
    return null;
  }
  const shown = all ? facts : facts.slice(0, props.limit ?? facts.length);
  return (
    <>
      {props.title && <div className="jp-MLOps-heading">{props.title}</div>}
      <dl className={`jp-MLOps-facts ${props.title ? 'jp-mod-short' : ''}`}>
        {shown.map(([name, value], index) => (
          <Fragment key={`${name}-${index}`}>
            <dt title={name}>{name}</dt>
            <dd title={value}>{value}</dd>
          </Fragment>
        ))}
      </dl>
      {shown.length < facts.length && (
        <button className="jp-MLOps-link" onClick={() => setAll(true)}>
          {trans.__('and %1 more', facts.length - shown.length)}
        </button>
      )}
    </>
  );
}

export function Code(props: {
  title?: string;
  text: string;
}): JSX.Element | null {
  return props.text.trim() === '' ? null : (
    <>
      {props.title && <div className="jp-MLOps-heading">{props.title}</div>}
      <pre className="jp-MLOps-code">{props.text.trim()}</pre>
    </>
  );
}
