/* SPDX-License-Identifier: Apache-2.0 */
/* A private certificate authority that lasts: a folder with its certificates, its keys and a database in
 * which each act is a row of a log that can only grow.
 *
 * root.pem and root.key: the anchor. Its key is encrypted and may be taken away; only a new intermediate
 * needs it. Roots that come later are root-2.pem and so on, the log says which there are; then root.pem has
 * all that have not expired, the latest one first, and cross-2-1.pem is the second one as the first vouches
 * for it.
 *
 * intermediate.pem and intermediate.key: what issues, and signs CRLs and OCSP answers. Those that come later
 * are intermediate-2.pem and so on; the log says which there are, and the last one issues. Those before go
 * on signing CRLs and OCSP answers about what they have issued.
 *
 * ssh_user_ca.pub and ssh_user_ca.key, ssh_host_ca.pub and ssh_host_ca.key: who vouches for users and for
 * hosts of SSH.
 *
 * ca.db: the log, serial numbers, revocations, settings.
 *
 * A file of a key has the key (PKCS #8, perhaps encrypted) or, in one line, the URI of a key in a token (RFC
 * 7512).
 *
 * Several processes may use one folder at once; one `struct authority` belongs to one thread at a time. No
 * function asks the clock: `now` is in seconds since 1970. */
#ifndef CARDEA_CA_AUTHORITY_H
#define CARDEA_CA_AUTHORITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "ca/ca.h"
#include "ca/key_place.h"
#include "cert/key.h"

struct authority;

/* ---- making and opening ---- */

/* What to make. Zero-initialise and fill in what matters. */
struct authority_plan {
    const char *name; /* of whom it is; the certificates are called "NAME root CA" and "NAME CA" */
    enum key_kind key;
    int64_t root_lifetime;         /* seconds; 0: 20 years */
    int64_t intermediate_lifetime; /* 0: 5 years */
    /* What the intermediate may issue for: "dns:example.com" (and all names below), "ip:192.0.2.0/24",
     * "email:example.com", "uri:example.com". None: for all. Where DNS names are limited and addresses are
     * not named, no address may be certified, and the other way round (RFC 5280, 4.2.1.10). */
    const char *const *permitted;
    size_t permitted_len;
    const char *url;            /* where CRL, OCSP and the issuer's certificate will be had, or NULL */
    struct str root_passphrase; /* must not be empty where the root's key is in a file */
    struct str passphrase;      /* of other keys in files; empty: they are kept by their mode (0600) alone */
    /* Keys in tokens: URIs. NULL: in its file. With `generate` they are made there, else they are there. */
    const char *root_uri, *intermediate_uri, *ssh_user_uri, *ssh_host_uri;
    struct str pin; /* for URIs that do not say where it is */
    bool generate;
};

/* Make the folder `dir` (mode 0700) and all that is in it; one that is there must be empty. -1 with `err`. */
int authority_init(const char *dir, const struct authority_plan *plan, int64_t now, struct err *err);

/* Open it to look at. NULL with `err`. */
struct authority *authority_open(const char *dir, struct err *err);

/* Are keys encrypted, so that authority_unlock() needs a passphrase? Is there one whose PIN it needs? */
bool authority_is_locked(const struct authority *a);
bool authority_asks_pin(const struct authority *a);

/* Read the keys; without this nothing can be issued or signed. What is not needed of `secrets` is ignored;
 * NULL: there are none. That the key of an earlier intermediate cannot be had is no error here: what needs
 * it will fail. */
int authority_unlock(struct authority *a, const struct key_secrets *secrets, struct err *err);

/* The same with the passphrase that is the first line of that file, which others must not be able to read.
 * NULL where there is none. */
int authority_unlock_by_file(struct authority *a, const char *passphrase_file, struct err *err);

/* NULL is allowed. Wipes the keys. */
void authority_close(struct authority *a);

/* The certificates, borrowed; the root is the latest one, the intermediate the one that issues. */
struct x509_st *authority_root(const struct authority *a);
struct x509_st *authority_intermediate(const struct authority *a);

/* The roots before it, the latest of these first. NULL behind the last one. */
struct x509_st *authority_earlier_root(const struct authority *a, size_t i);

/* Append whom to trust, in PEM: the roots that have not expired, the latest one first. False when memory is
 * out. */
bool authority_put_roots(const struct authority *a, int64_t now, struct buf *ret_pem);

/* A key that has issued, with its latest certificate. */
struct authority_issuer {
    struct x509_st *cert; /* borrowed */
    const char *suffix;   /* of its names below the URL: "" for crl.der, "-2" for crl-2.der. Borrowed */
};

/* The issuers, the one that issues now first. False behind the last one. Left out are those that had expired
 * when a later one was made. */
bool authority_issuer(const struct authority *a, size_t i, struct authority_issuer *ret);

/* Has one that came before expired, so that nobody needs to hear of what it has revoked? */
bool authority_issuer_is_over(const struct authority *a, size_t i, int64_t now);

/* ---- a new intermediate ---- */

struct authority_renewal {
    bool same_key;              /* the same key gets another certificate; else the fields about a key count */
    bool any_kind;              /* the kind of the key before; else `kind` */
    enum key_kind kind;         /* of the new key */
    const char *uri;            /* of a key in a token; NULL: in a file */
    bool generate;              /* make it in the token */
    const char *root_key;       /* the file of the root's key, or a URI; NULL: root.key in the folder */
    int64_t lifetime;           /* seconds; 0: 5 years. It is cut to the root's */
    struct key_secrets root;    /* what opens the root's key */
    struct key_secrets secrets; /* what opens the other keys; its passphrase encrypts a new one */
};

/* ---- a new root ---- */

struct authority_root_renewal {
    bool any_kind;           /* the kind of the key before; else `kind` */
    enum key_kind kind;      /* of the new key */
    const char *uri;         /* of a key in a token; NULL: in a file, which `passphrase` encrypts */
    bool generate;           /* make it in the token */
    const char *root_key;    /* of the root before, as authority_renewal has it */
    int64_t lifetime;        /* seconds; 0: 20 years */
    struct key_secrets root; /* what opens the key of the root before */
    struct str passphrase, pin;
};

/* Make another root. It and the one before sign each other (RFC 4210, 4.4): whoever trusts either of them
 * believes in all that is issued from then on. The next intermediate is signed by it. Keys need not be
 * unlocked. `a` must be closed then; what was written before a crash is not looked at again: until the log
 * has it there is no new root, and root.pem follows the log. -1 with `err`. */
int authority_renew_root(struct authority *a, const struct authority_root_renewal *renewal, const char *who,
                         int64_t now, struct err *err);

/* Write root.pem as the log has it by now, where that is another: a crash may have kept it from following the
 * log, and roots expire. The file of a CA that has one root only is left alone. -1 with `err`. */
int authority_follow_roots(struct authority *a, int64_t now, struct err *err);

/* What opens the root's key, as authority_renewal has it in `root_key`? */
enum key_place_kind authority_root_key(const struct authority *a, const char *root_key,
                                       char ret_uri[KEY_URI_MAX]);

/* Let the root sign another intermediate, which issues from now on, with the name constraints of the one
 * before. A new key is a new issuer with a name of its own; the same one keeps its name. `a` must be
 * unlocked; other processes see it once they open the folder anew. What was written before a crash is not
 * looked at again: until the log has it there is no new intermediate. -1 with `err`. */
int authority_renew(struct authority *a, const struct authority_renewal *renewal, const char *who,
                    int64_t now, struct err *err);

/* Is the certificate so near its end (a third of its life, 90 days at most) that one should be made that
 * follows it? What it issues is cut to its end. */
bool authority_is_ending(const struct x509_st *cert, int64_t now);

/* From when on it is, in seconds since 1970. */
int64_t authority_due(const struct x509_st *cert);

/* Its end, in seconds since 1970. */
int64_t authority_end(const struct x509_st *cert);

/* Where CRL and OCSP are to be had, without a '/' at its end: what was set last; empty: nowhere. Borrowed
 * until the next call. To set it (empty: none) is an act for the log. -1 with `err`. */
int authority_url(struct authority *a, struct str *ret, struct err *err);
int authority_set_url(struct authority *a, const char *url, const char *who, int64_t now, struct err *err);

/* Have all that was issued up to `now` replaced: clients that ask when to renew (ARI, RFC 9773) are told to
 * do so at once. `all` false: they are not any more. An act for the log. -1 with `err`. */
int authority_set_replace(struct authority *a, bool all, const char *who, int64_t now, struct err *err);

/* Up to when what was issued is to be replaced; 0: nothing is. -1 with `err`. */
int authority_replace(struct authority *a, int64_t *ret, struct err *err);

/* What there is to know of it, for people. */
struct authority_certificate {
    char name[128];
    char key[KEY_TEXT_MAX]; /* see key_describe() */
    int64_t not_after;
    bool ending;     /* see authority_is_ending() */
    char sha256[65]; /* of the certificate, in hexadecimal */
    char token[201]; /* the URI of its key, without what tells of a PIN; empty: it is in a file */
    char file[32];   /* in the folder */
};

struct authority_facts {
    struct authority_certificate root, intermediate;
    size_t issuers;       /* see authority_issuer() */
    char permitted[1024]; /* as authority_plan has them, a space between two; empty: all names */
    char url[513];
    int64_t replace; /* see authority_replace() */
    /* Where the keys are that it issues with, those of SSH too. */
    bool in_token; /* one is in a token */
    bool locked;   /* one is in a file and encrypted */
    bool plain;    /* one is in a file and is not */
};

/* -1 with `err`. */
int authority_look(struct authority *a, int64_t now, struct authority_facts *ret, struct err *err);

/* ---- certificates ---- */

/* Certify the public key of `key` (AWS-LC's EVP_PKEY) for the names of `request`, and write that down as
 * asked for by `who` ("cli:root", "acme:ACCOUNT"). The names are to be checked by the caller: this one looks
 * at their form and at the name constraints only. `profile`: server, client or agent. request->now is needed;
 * request->lifetime 0 is that of the profile, more than its maximum an error; request->key is not looked at.
 *
 * ret_chain_pem gets the certificate and the intermediate appended. -1 with `err`: then nothing was issued.
 */
int authority_certify(struct authority *a, struct evp_pkey_st *key, enum ca_profile profile,
                      const struct ca_request *request, const char *who, struct ca_serial *ret_serial,
                      struct buf *ret_chain_pem, struct err *err);

/* Would the names and groups of `request` be refused, whatever the key? -1 with `err`, which may be told to
 * who asks for them. */
int authority_check_names(const struct authority *a, const struct ca_request *request, struct err *err);

/* The same as authority_certify() with a new key of kind request->key, for ca_save(). The caller owns it;
 * NULL with `err`. */
struct ca *authority_issue(struct authority *a, enum ca_profile profile, const struct ca_request *request,
                           const char *who, struct err *err);

/* Why a certificate is revoked (RFC 5280, 5.3.1). What can be taken back (certificateHold, removeFromCRL) is
 * not here. */
enum ca_reason {
    CA_REASON_UNSPECIFIED = 0,
    CA_REASON_KEY_COMPROMISE = 1,
    CA_REASON_CA_COMPROMISE = 2,
    CA_REASON_AFFILIATION_CHANGED = 3,
    CA_REASON_SUPERSEDED = 4,
    CA_REASON_CESSATION_OF_OPERATION = 5,
    CA_REASON_PRIVILEGE_WITHDRAWN = 9,
    CA_REASON_AA_COMPROMISE = 10,
};

/* By the RFC's names ("keyCompromise"). NULL, or false, where there is none. */
const char *ca_reason_name(int reason);
bool ca_reason_parse(const char *name, enum ca_reason *ret);

enum authority_revoked { AUTHORITY_REVOKED, AUTHORITY_WAS_REVOKED, AUTHORITY_UNKNOWN, AUTHORITY_FAILED };

/* Revoke what has this serial number. WAS_REVOKED and UNKNOWN change nothing; FAILED with `err`. */
enum authority_revoked authority_revoke(struct authority *a, const struct ca_serial *serial,
                                        enum ca_reason reason, const char *who, int64_t now, struct err *err);

/* What was issued. Texts are borrowed and last as long as the call that it was given to. */
struct authority_entry {
    struct ca_serial serial; /* of SSH: 8 bytes */
    bool ssh;
    struct str profile; /* "server", "client", "agent"; "user", "host" for SSH */
    struct str label;   /* CN or first name; the key id of SSH */
    struct str names;   /* all names and principals, a space between two */
    struct str who;     /* asked for it */
    int64_t not_before;
    int64_t not_after;
    int64_t revoked; /* when; 0: is not */
    int reason;
    int64_t row;        /* of the log */
    int64_t issuer;     /* the row of the log that tells of the issuer's key; 0 for SSH */
    struct str content; /* the certificate in DER; of SSH its blob */
};

/* Called with each. Less than 0 stops, with `err`. */
typedef int authority_entry_fn(void *arg, const struct authority_entry *entry, struct err *err);

/* What was issued, in order; with `since` not 0 only what ends after that. -1 with `err`. */
int authority_each(struct authority *a, int64_t since, authority_entry_fn *fn, void *arg, struct err *err);

/* The one with that serial number: 1 and `fn` was called, 0 there is none, -1 with `err`. */
int authority_find(struct authority *a, const struct ca_serial *serial, authority_entry_fn *fn, void *arg,
                   struct err *err);

/* A serial number in hexadecimal, as openssl(1) writes it; ':' between bytes may be there. False when it is
 * none. */
bool ca_serial_parse(const char *text, struct ca_serial *ret);

/* That of the first certificate in a PEM file. -1 with `err`. */
int ca_serial_of_file(const struct buf *file, struct ca_serial *ret, struct err *err);

#define CA_SERIAL_TEXT (2 * CA_SERIAL_MAX + 1)
const char *ca_serial_text(const struct ca_serial *serial, char text[CA_SERIAL_TEXT]);

/* ---- revocation, for others ---- */

/* Append a CRL in DER of all that this issuer (see authority_issuer(); 0: that of now) has issued, is revoked
 * and has not been expired for long (RFC 5280, 5). Its number grows. -1 with `err`. */
int authority_crl(struct authority *a, size_t issuer, int64_t now, int64_t lifetime, struct buf *ret_der,
                  struct err *err);

#define AUTHORITY_OCSP_MAX 32 /* certificates asked for in one request */

/* Answer an OCSP request (RFC 6960; DER): append the response in DER, which says `malformedRequest` where
 * that is what the request is. It is signed by the issuer that the request asks about first; what that one
 * has not issued is `unknown`. A nonce comes back (RFC 9654). The
 * answer holds for `lifetime` seconds. *ret_lasting (NULL is allowed): the same answer could be given to
 * whoever sends the same request, until something is revoked: it has no nonce, and all is known. -1 with
 * `err` where none can be given: memory, the database, no key. */
int authority_ocsp(struct authority *a, struct str request, int64_t now, int64_t lifetime,
                   struct buf *ret_der, bool *ret_lasting, struct err *err);

/* Has something been revoked behind row *row of the log, by whichever process? 1, 0, or -1 with `err`. *row
 * becomes the last row; 0, at first, asks for that only. */
int authority_revoked_since(struct authority *a, int64_t *row, struct err *err);

/* Called with each that is revoked and ends after `since`. */
int authority_each_revoked(struct authority *a, int64_t since, authority_entry_fn *fn, void *arg,
                           struct err *err);

/* When the one with that serial number was revoked; 0: it is not, or is none of ours. -1 with `err`. */
int authority_revoked_at(struct authority *a, const struct ca_serial *serial, int64_t *ret, struct err *err);

/* Is a certificate revoked that ends after `since` and has this name among its names? 1, 0, or -1 with `err`.
 */
int authority_revoked_name(struct authority *a, const char *name, int64_t since, struct err *err);

/* Revoke all that has this name among its names, ends after `now` and is not revoked. Returns how many, or -1
 * with `err`. */
int authority_revoke_name(struct authority *a, const char *name, enum ca_reason reason, const char *who,
                          int64_t now, struct err *err);

/* The same with all that has this label and a name that begins with `prefix`. */
int authority_revoke_label(struct authority *a, const char *label, const char *prefix, enum ca_reason reason,
                           const char *who, int64_t now, struct err *err);

/* ---- SSH (OpenSSH's PROTOCOL.certkeys) ---- */

struct authority_ssh {
    bool host;                     /* else for a user */
    const char *id;                /* the key id, which sshd logs */
    const char *const *principals; /* user names, or host names; one at least */
    size_t principals_len;
    int64_t lifetime;          /* seconds; 0: 16 hours for users, 90 days for hosts */
    const char *force_command; /* critical options of users, or NULL */
    const char *source_address;
    bool no_pty, no_forwarding; /* leave permit-pty out; all of permit-*-forwarding */
};

/* Certify a public key as of an OpenSSH .pub file (one line). Appends the line of the -cert.pub file. -1 with
 * `err`. */
int authority_ssh_certify(struct authority *a, struct str public_key, const struct authority_ssh *request,
                          const char *who, int64_t now, struct ca_serial *ret_serial, struct buf *ret_line,
                          struct err *err);

/* Append a KRL (OpenSSH's PROTOCOL.krl) of the SSH certificates that are revoked. */
int authority_ssh_krl(struct authority *a, int64_t now, struct buf *ret, struct err *err);

/* ---- the log ---- */

#define AUTHORITY_HASH 32

/* The log's last row and the hash over all up to it. Kept elsewhere it shows later that nothing was taken
 * away. */
struct authority_head {
    int64_t row;
    uint8_t hash[AUTHORITY_HASH];
};

/* What it is now, as it stands there: unverified. -1 with `err`. */
int authority_head(struct authority *a, struct authority_head *ret, struct err *err);

/* Verify the whole log: each row's hash, that none is missing, that the certificates and what is revoked are
 * what it says, that the intermediates are signed by the root and what was issued by them; and, where `known`
 * is not NULL, that the log had this head once. -1 with `err`, which says at which row it breaks. */
int authority_audit(struct authority *a, const struct authority_head *known, struct authority_head *ret,
                    struct err *err);

#endif
