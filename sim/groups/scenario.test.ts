import { testSeeds } from '../run-seeds.ts';

testSeeds('groups', 24);
