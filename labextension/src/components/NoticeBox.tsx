// Something to tell: what happened, what to do next, and a button that does it.

import { closeIcon } from '@jupyterlab/ui-components';
import { JSX } from 'react';

import { INotice } from '../tokens';
import { useShared } from './context';

interface INoticeBoxProps {
  notice: INotice;
  onDismiss?: () => void;
}

export function NoticeBox(props: INoticeBoxProps): JSX.Element {
  const { trans } = useShared();
  const { level, message, hint, action } = props.notice;
  return (
    <div
      className={`jp-MLOps-notice jp-mod-${level}`}
      role={level === 'error' ? 'alert' : 'status'}
    >
      <div className="jp-MLOps-noticeText">
        <span>{message}</span>
        {hint && <span className="jp-MLOps-hint">{marked(hint)}</span>}
        {action && (
          <button className="jp-MLOps-button" onClick={action.run}>
            {action.label}
          </button>
        )}
      </div>
      {props.onDismiss && (
        <button
          className="jp-MLOps-iconButton"
          title={trans.__('Dismiss')}
          aria-label={trans.__('Dismiss')}
          onClick={props.onDismiss}
        >
          <closeIcon.react tag="span" />
        </button>
      )}
    </div>
  );
}

/** What stands between backticks is to be typed. */
function marked(text: string): (string | JSX.Element)[] {
  return text
    .split('`')
    .map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part));
}
