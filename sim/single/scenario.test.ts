import { testSeeds } from '../run-seeds.ts';
import { singleScenario } from './scenario.ts';

testSeeds(singleScenario, 200);
