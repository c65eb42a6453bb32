import { testSeeds } from '../run-seeds.ts';
import { clusterScenario } from './scenario.ts';

testSeeds(clusterScenario, 200);
