import { Type } from 'typebox';

export const healthSchema = Type.Object({ status: Type.Literal('ok') });
export const readySchema = Type.Object({ status: Type.Literal('ready') });
