package blobio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"pappus/iofuncs/conns"
)

// remote is a bucket of S3, or of what speaks as it does. Conditions are the server's
// to judge, so they are atomic for all who write there.
type remote struct {
	bucket    *blob.Bucket
	client    *s3.Client
	name      string
	transport *http.Transport
}

var _ store = (*remote)(nil)

// openRemote makes no connection. lookup is that of variables.
func openRemote(ctx context.Context, p Place, limits Limits, roots *x509.CertPool, lookup func(string) (string, bool)) (store, error) {
	const mostWait = 5 * time.Second
	options := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}),
		config.WithHTTPClient(awshttp.NewBuildableClient()),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = limits.Attempts, mostWait })
		}),
	}
	if p.region != "" {
		options = append(options, config.WithRegion(p.region))
	} else if p.endpoint != "" {
		options = append(options, config.WithDefaultRegion("us-east-1")) // those who are not AWS rarely look at it
	}
	if p.keyIDEnv != "" {
		id, ok := lookup(p.keyIDEnv)
		secret, also := lookup(p.secretEnv)
		if !ok || !also || id == "" || secret == "" {
			return nil, plain("the variables %s and %s, which have the credentials, are not both set", p.keyIDEnv, p.secretEnv)
		}
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(id, secret, "")))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	if loaded.Region == "" {
		return nil, plain("no region is said; add the parameter region, or set AWS_REGION")
	}
	// Its own client knows the authorities of AWS_CA_BUNDLE; the times are ours.
	built, ok := loaded.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return nil, fmt.Errorf("the AWS library has a client of another kind: %T", loaded.HTTPClient)
	}
	transport := built.GetTransport()
	const idlePerHost = 256 // as many calls as go on at once
	transport.DialContext = (&net.Dialer{Timeout: limits.Connect}).DialContext
	transport.TLSHandshakeTimeout, transport.ResponseHeaderTimeout = limits.TLS, limits.Response
	transport.MaxIdleConnsPerHost = idlePerHost
	transport.MaxResponseHeaderBytes = mostHeader
	transport.DisableCompression = true // a blob is what was put
	if roots != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	conns.Guard(transport)
	loaded.HTTPClient = &http.Client{
		Transport: bounded{transport},
		// What signs requests does not follow anybody who asks for them.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.DisableLogOutputChecksumValidationSkipped = true
		if p.endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(p.endpoint), true
			// Others than AWS may not know the newer checksums.
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		}
	})
	bucket, err := s3blob.OpenBucket(ctx, client, p.name, nil)
	if err != nil {
		return nil, err
	}
	return &remote{bucket: bucket, client: client, name: p.name, transport: transport}, nil
}

func (s *remote) close() error {
	err := s.bucket.Close()
	s.transport.CloseIdleConnections()
	return err
}

func (s *remote) open(ctx context.Context, key string, r *ref) (*opened, error) {
	reader, err := s.bucket.NewReader(ctx, key, &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var in *s3.GetObjectInput
		if !as(&in) {
			return errors.New("the driver does not show what it asks")
		}
		in.Key = aws.String(key) // it writes some keys otherwise
		if r.ifMatch != "" {
			in.IfMatch = aws.String(r.ifMatch)
		}
		if r.ifNoneMatch != "" {
			in.IfNoneMatch = aws.String(r.ifNoneMatch)
		}
		if r.part.asked {
			in.Range = aws.String(r.part.String())
		}
		return nil
	}})
	if err != nil {
		err = translate(err)
		if errors.Is(err, errSpan) && r.part.suffix { // the blob may have fewer bytes, or none
			whole := *r
			whole.part = span{}
			o, err := s.open(ctx, key, &whole)
			if err == nil && o.length > r.part.length {
				o.close()
				return nil, errSpan
			}
			return o, err
		}
		return nil, err
	}
	var answer s3.GetObjectOutput
	if !reader.As(&answer) || answer.ContentLength == nil {
		_ = reader.Close() // nothing was read
		return nil, plain("the bucket's server does not say how long the blob is")
	}
	if !r.holds(quoted(aws.ToString(answer.ETag))) { // there are servers that don't look at conditions
		_ = reader.Close()
		return nil, errCondition
	}
	if r.part.asked && answer.ContentRange == nil {
		_ = reader.Close()
		return nil, plain("the bucket's server gives no ranges")
	}
	const believed = 16 << 20
	return &opened{reader: reader, length: *answer.ContentLength, believed: believed, close: func() { _ = reader.Close() }}, nil
}

func (s *remote) put(ctx context.Context, key string, r *ref, content *fence, w *watch) (string, error) {
	in := &s3.PutObjectInput{
		Bucket: aws.String(s.name), Key: aws.String(key),
		Body: &fenced{fence: content, watch: w}, ContentLength: aws.Int64(content.size),
	}
	if r.contentType != "" {
		in.ContentType = aws.String(r.contentType)
	}
	var options []func(*s3.Options)
	if r.ifMatch != "" {
		in.IfMatch = aws.String(r.ifMatch)
	}
	if r.ifNoneMatch != "" {
		in.IfNoneMatch = aws.String(r.ifNoneMatch)
	}
	if r.ifMatch != "" || r.ifNoneMatch != "" {
		// If an answer is lost, the condition does not hold at the second attempt, although
		// it is this very blob that is there.
		options = append(options, func(o *s3.Options) { o.RetryMaxAttempts, o.Retryer = 1, aws.NopRetryer{} })
	}
	out, err := s.client.PutObject(ctx, in, options...)
	if err == nil {
		return quoted(aws.ToString(out.ETag)), nil
	}
	if err = translate(err); errors.Is(err, errMissing) {
		if err = errNowhere; r.ifMatch != "" { // it is to replace a blob that is not there
			err = errCondition
		}
	}
	return "", err
}

func (s *remote) list(ctx context.Context, prefix, delimiter, after string, most int, found *hold) (all []entry, err error) {
	page := &hold{charge: found.charge}
	defer func() { err = errors.Join(err, page.giveAll()) }()
	said := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	in := &s3.ListObjectsV2Input{
		Bucket: aws.String(s.name), MaxKeys: aws.Int32(pageKeys), Prefix: said(prefix), Delimiter: said(delimiter), StartAfter: said(after),
	}
	// Pages may have nothing that is wanted, or nothing at all, but not for ever.
	const others = 1000
	for range others + most/pageKeys {
		out, err := s.client.ListObjectsV2(withPage(ctx, page), in)
		if err != nil {
			if err = translate(err); errors.Is(err, errMissing) {
				err = errNowhere
			}
			return nil, err
		}
		for _, o := range out.Contents {
			e := entry{key: aws.ToString(o.Key), etag: quoted(aws.ToString(o.ETag)), size: aws.ToInt64(o.Size)}
			rest, ok := strings.CutPrefix(e.key, prefix)
			// Not everything that speaks as S3 does knows every delimiter.
			if !ok || e.key <= after || delimiter != "" && strings.Contains(rest, delimiter) || checkKey(e.key) != nil {
				continue
			}
			if e.size < 0 {
				return nil, plain("the bucket's server says that a blob has %d bytes", e.size)
			}
			if err := found.take(e.holds()); err != nil {
				return nil, err
			}
			if all = append(all, e); len(all) == most {
				return all, nil
			}
		}
		next := out.NextContinuationToken
		if aws.ToString(next) == "" {
			return all, nil
		}
		if aws.ToString(next) == aws.ToString(in.ContinuationToken) {
			return nil, plain("the bucket's server gives the same page of a list again and again")
		}
		in.ContinuationToken = next
		if err := page.giveAll(); err != nil {
			return nil, err
		}
	}
	return nil, plain("the bucket's server does not come to the end of a list; a longer prefix asks for less")
}

// errNowhere is an answer to what can't be missing.
var errNowhere = plain("the bucket's server says that there is no such thing (status %d)", http.StatusNotFound)

// translate says what an error of S3 means, without what names servers and accounts.
func translate(err error) error {
	var (
		said        smithy.APIError
		answer      *awshttp.ResponseError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
	)
	status, code := 0, ""
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	if errors.As(err, &said) {
		code = said.ErrorCode()
	}
	tell := func(format string, args ...any) error { return errors.Join(plain(format, args...), err) }
	toDo := func(hint, text string) error { return errors.Join(hinted(hint, "%s", text), err) }
	switch {
	case code == "NoSuchBucket":
		return toDo("Have the operator correct the bucket's URL in --buckets.", "the bucket that its URL names is not there")
	case code == "NoSuchKey" || status == http.StatusNotFound:
		return errMissing
	case code == "PreconditionFailed" || status == http.StatusPreconditionFailed || status == http.StatusNotModified:
		return errCondition
	case code == "InvalidRange" || status == http.StatusRequestedRangeNotSatisfiable:
		return errSpan
	case code == "ConditionalRequestConflict":
		return tell("somebody else puts it at the same time; try again")
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return toDo("Have the operator check the credentials of the bucket: access-key-env and secret-key-env in --buckets.",
			fmt.Sprintf("the bucket's server refuses the credentials that the platform has for it (status %d)", status))
	case status != 0:
		return tell("the bucket's server answered with the status %d", status)
	case errors.As(err, &certificate):
		return toDo("Have the operator name the authority that signed it with --ca-bundle, if it is one to trust.", "the certificate of the bucket's server is not one to trust")
	case errors.As(err, &dns):
		return tell("the bucket's server is not to be found")
	}
	return err
}
