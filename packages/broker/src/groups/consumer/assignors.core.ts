import type { AssignorInput, GroupAssignment } from './assignor.core.ts';
import { assignRange } from './range-assignor.core.ts';
import { assignUniform } from './uniform-assignor.core.ts';
import type { Work } from './work.core.ts';

export type AssignorName = 'uniform' | 'range';

/** The assignors of KIP-848 by their names. They are pure: the same input has the same result, after the same steps. */
export const ASSIGNORS: Readonly<Record<AssignorName, (input: AssignorInput) => Work<GroupAssignment>>> = {
  uniform: assignUniform,
  range: assignRange,
};
