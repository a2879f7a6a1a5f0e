// SPDX-License-Identifier: Apache-2.0

// acme_client DIRECTORY NAME LISTEN KID KEY LIFETIME: gets a certificate by http-01 with golang.org/x/crypto/acme, of which
// cert-manager uses a copy, and as cert-manager does: an account that is bound by a key, an order with notAfter. Prints the chain.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/crypto/acme"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	return key
}

// prove answers the http-01 challenge of an authorization until the server has seen it.
func prove(ctx context.Context, client *acme.Client, url string, listener net.Listener) {
	authorization, err := client.GetAuthorization(ctx, url)
	check(err)
	for _, challenge := range authorization.Challenges {
		if challenge.Type != "http-01" {
			continue
		}
		answer, err := client.HTTP01ChallengeResponse(challenge.Token)
		check(err)
		mux := http.NewServeMux()
		mux.HandleFunc(client.HTTP01ChallengePath(challenge.Token), func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(answer))
		})
		go func() { _ = http.Serve(listener, mux) }()
		_, err = client.Accept(ctx, challenge)
		check(err)
		_, err = client.WaitAuthorization(ctx, url)
		check(err)
		return
	}
	log.Fatal("no http-01 is offered")
}

func main() {
	directory, name, listen, kid := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	secret, err := base64.RawURLEncoding.DecodeString(os.Args[5])
	check(err)
	lifetime, err := time.ParseDuration(os.Args[6])
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	listener, err := net.Listen("tcp", listen)
	check(err)

	client := &acme.Client{Key: newKey(), DirectoryURL: directory}
	binding := &acme.ExternalAccountBinding{KID: kid, Key: secret}
	_, err = client.Register(ctx, &acme.Account{ExternalAccountBinding: binding}, acme.AcceptTOS)
	check(err)
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(name), acme.WithOrderNotAfter(time.Now().Add(lifetime)))
	check(err)
	for _, url := range order.AuthzURLs {
		prove(ctx, client, url, listener)
	}
	order, err = client.WaitOrder(ctx, order.URI)
	check(err)
	key := newKey()
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
	check(err)
	chain, _, err := client.CreateOrderCert(ctx, order.FinalizeURL, request, true)
	check(err)
	for _, der := range chain {
		check(pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	check(client.RevokeCert(ctx, key, chain[0], acme.CRLReasonSuperseded))
}
