/** Why a session does not parse on; several at once. */
export const FOR_SERVE = 1;
export const FOR_BUDGET = 2;
export const FOR_TURN = 4;
export const FOR_HOLD = 8;
export const FOR_RESPONSES = 16;
export const FOR_DRAIN = 32;
export const FOR_EARLIER = 64;
export const FOR_MEMORY = 128;
export const FOR_QUOTA = 256;
/** Of nothing any more. */
export const FOR_END = 512;
/** Those that a peer causes by not taking its responses. */
export const FOR_PEER = FOR_DRAIN | FOR_EARLIER | FOR_MEMORY;
