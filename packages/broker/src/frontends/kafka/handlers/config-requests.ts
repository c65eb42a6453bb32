import type { ConfigOperation } from '../../../config/operations.ts';
import type { KafkaServices } from '../handler.ts';
import { duplicatesOf, type ItemError, ItemRefusal } from './admin-requests.ts';
import { alterResources } from './alter-resources.ts';

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

interface AlterRequest<R extends Resource> {
  readonly resources: readonly R[];
  readonly validateOnly: boolean;
}

interface AlterResponse {
  readonly responses: (Resource & ItemError)[];
}

/** What AlterConfigs and IncrementalAlterConfigs do alike; `operationsOf` may throw BrokerError or ItemRefusal for its resource. */
export async function alterConfigsOf<R extends Resource>(
  services: KafkaServices,
  { resources, validateOnly }: AlterRequest<R>,
  how: {
    /** Takes away what the operations do not name. */
    readonly replace: boolean;
    readonly operationsOf: (resource: R) => readonly ConfigOperation[];
  },
): Promise<AlterResponse> {
  const duplicates = duplicatesOf(resources.map((resource) => keyOf(resource)));
  const outcomes = await alterResources(
    services,
    resources.map((resource) => () => {
      if (duplicates.has(keyOf(resource))) {
        throw new ItemRefusal('INVALID_REQUEST', 'The resource comes twice in the request');
      }
      const { resourceType, resourceName } = resource;
      const { replace } = how;
      return { resourceType, resourceName, operations: how.operationsOf(resource), replace, validateOnly };
    }),
  );
  return {
    responses: resources.map(({ resourceType, resourceName }, index) => ({
      resourceType,
      resourceName,
      ...outcomes[index]!,
    })),
  };
}

/** The same refusal for each resource. */
export function alterConfigsFailure(
  { resources }: AlterRequest<Resource>,
  errorCode: number,
  errorMessage: string,
): AlterResponse {
  return {
    responses: resources.map(({ resourceType, resourceName }) => ({
      errorCode,
      errorMessage,
      resourceType,
      resourceName,
    })),
  };
}

function keyOf({ resourceType, resourceName }: Resource): string {
  return `${resourceType}:${resourceName}`;
}
