import { BrokerError } from '../errors.ts';
import type { PeerPort, TxnMarkerWriter, WriteTxnMarkersRequest, WriteTxnMarkersResponse } from './types.ts';

/** The port of a broker that stands alone: it reaches itself, without a socket. */
export class OwnBrokerPort implements PeerPort {
  readonly #brokerId: number;
  readonly #markers: TxnMarkerWriter;

  constructor(options: { readonly brokerId: number; readonly markers: TxnMarkerWriter }) {
    this.#brokerId = options.brokerId;
    this.#markers = options.markers;
  }

  async writeTxnMarkers(brokerId: number, request: WriteTxnMarkersRequest): Promise<WriteTxnMarkersResponse> {
    if (brokerId !== this.#brokerId) {
      throw new BrokerError(
        'LEADER_NOT_AVAILABLE',
        `broker ${brokerId} cannot be reached: this broker (${this.#brokerId}) stands alone`,
      );
    }
    return this.#markers.writeTxnMarkers(request);
  }
}
