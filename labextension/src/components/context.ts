// What every component may use, without handing it down.

import { TranslationBundle } from '@jupyterlab/translation';
import { createContext, useContext } from 'react';

import { Actions } from '../actions';
import { PanelModel } from '../model';

export interface IShared {
  model: PanelModel;
  actions: Actions;
  trans: TranslationBundle;
  /** The time, moving on twice a minute, for "5 min ago". */
  now: number;
}

export const Shared = createContext<IShared | null>(null);

export function useShared(): IShared {
  const shared = useContext(Shared);
  if (shared === null) {
    throw new Error('a component of the panel stands outside of it');
  }
  return shared;
}
