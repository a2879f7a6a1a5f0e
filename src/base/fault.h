/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a peer, as a code beside the words: for whoever has more to say about it than they do.
 */
#ifndef CARDEA_BASE_FAULT_H
#define CARDEA_BASE_FAULT_H

enum fault {
    FAULT_OTHER,          /* nothing, or something that the words say all about */
    FAULT_NOT_TLS,        /* it speaks no TLS */
    FAULT_UNKNOWN_ISSUER, /* nobody whom we trust has issued its certificate */
    FAULT_OTHER_NAME,     /* its certificate is good, and for another name */
    FAULT_ECH,            /* it has refused Encrypted ClientHello, and proven its public name */
};

#endif
