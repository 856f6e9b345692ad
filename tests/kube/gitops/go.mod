// Modules that carry the CustomResourceDefinitions of Argo CD and Flux; go.sum pins every byte. Nothing is compiled.
module sallyport.dev/tests/kube/gitops

go 1.26

require (
	github.com/argoproj/argo-cd/v3 v3.2.0
	github.com/fluxcd/helm-controller v1.4.0
	github.com/fluxcd/kustomize-controller v1.6.0
	github.com/fluxcd/source-controller v1.7.0
)
