module echora.example/clients

go 1.24

require (
	github.com/digitalocean/godo v1.150.0
	golang.org/x/oauth2 v0.23.0
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/go-querystring v1.1.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.7 // indirect
	github.com/stretchr/testify v1.10.0 // indirect
	golang.org/x/sys v0.31.0 // indirect
	golang.org/x/time v0.6.0 // indirect
)
