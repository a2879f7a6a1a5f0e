/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/budget.h"

unsigned budget_flights(size_t bytes, unsigned window)
{
    size_t flight = (size_t)window * BUDGET_PACKET;
    unsigned flights = 1;
    for (; bytes > flight && flight <= SIZE_MAX / 2; flight *= 2, flights++)
        bytes -= flight;
    return flights;
}

unsigned budget_round_trips(const struct budget_handshake *h, unsigned window)
{
    unsigned tcp = 1, tls = h->version >= 0x0304 || h->resumed ? 1 : 2;
    return tcp + tls + (h->retried ? 1 : 0) + budget_flights(h->received, window) - 1;
}
