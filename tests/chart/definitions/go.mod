// Modules that carry the CustomResourceDefinitions of others; go.sum pins every byte. Nothing is compiled.
module sallyport.dev/tests/chart/definitions

go 1.26

require (
	github.com/cert-manager/cert-manager v1.19.1
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.5.1
)
