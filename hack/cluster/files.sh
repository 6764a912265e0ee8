# shellcheck shell=bash
# The files that the box's programs read: certificates, configuration, and Knative's manifests. Sourced by cluster.

box_certs() {
	cd "$DIR/etc/pki" || return
	[[ -e ca.crt && -e $KUBECONFIG ]] && openssl x509 -checkend 86400 -noout -in ca.crt >/dev/null && return
	openssl ecparam -name prime256v1 -genkey -noout -out ca.key
	openssl req -x509 -new -key ca.key -subj /CN=box-ca -days 365 -out ca.crt -addext basicConstraints=critical,CA:TRUE \
		-addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
	box_cert apiserver /CN=kube-apiserver "IP:127.0.0.1,IP:$NODE_IP,IP:$API_SVC,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local" serverAuth
	box_cert kubelet /CN=boxnode "IP:$NODE_IP,DNS:boxnode" serverAuth
	box_cert admin /O=system:masters/CN=admin "" clientAuth
	openssl genrsa -out sa.key 2048 2>/dev/null
	cat >"$KUBECONFIG" <<-EOF
		apiVersion: v1
		kind: Config
		clusters: [{name: box, cluster: {server: "https://127.0.0.1:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
		users: [{name: admin, user: {client-certificate-data: $(base64 -w0 admin.crt), client-key-data: $(base64 -w0 admin.key)}}]
		contexts: [{name: box, context: {cluster: box, user: admin}}]
		current-context: box
	EOF
}

box_cert() { # NAME SUBJECT SAN USAGE
	openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
	openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -out "$1.crt" -extfile <(
		printf 'keyUsage=digitalSignature\nextendedKeyUsage=%s\n%s\n' "$4" "${3:+subjectAltName=$3}"
	) 2>/dev/null
}

box_configs() {
	: >"$DIR/etc/resolv-empty.conf" # pods get the cluster's DNS from the kubelet and nothing of the host's
	cat >"$DIR/etc/Corefile" <<-EOF
		.:53 {
		  bind $NODE_IP
		  errors
		  health 127.0.0.1:8181
		  kubernetes cluster.local {
		    kubeconfig $KUBECONFIG box
		    ttl 1
		  }
		}
	EOF
	cat >"$DIR/etc/containerd.toml" <<-EOF
		version = 2
		root = "$DIR/var/containerd"
		state = "/run/containerd"
		[grpc]
		  address = "/run/containerd/containerd.sock"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "dev.local/pause:v1"
		  disable_apparmor = true
		  tolerate_missing_hugetlb_controller = true
		  disable_hugetlb_controller = true
		  restrict_oom_score_adj = true
		  [plugins."io.containerd.grpc.v1.cri".containerd]
		    snapshotter = "overlayfs"
		    default_runtime_name = "runc"
		    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
		      runtime_type = "io.containerd.runc.v2"
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "$DIR/etc/cni"
	EOF
	cat >"$DIR/etc/cni/10-ptp.conflist" <<-EOF
		{"cniVersion":"0.4.0","name":"ptp","plugins":[
		 {"type":"ptp","ipMasq":false,"ipam":{"type":"host-local","ranges":[[{"subnet":"$POD_CIDR"}]],"routes":[{"dst":"0.0.0.0/0"}]},"mtu":1500},
		 {"type":"portmap","capabilities":{"portMappings":true}}]}
	EOF
	cat >"$DIR/etc/kubelet.yaml" <<-EOF
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		failCgroupV1: false
		failSwapOn: false
		cgroupDriver: cgroupfs
		cgroupRoot: /$CGROUP
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $DIR/etc/pki/ca.crt}}
		authorization: {mode: AlwaysAllow}
		address: $NODE_IP
		tlsCertFile: $DIR/etc/pki/kubelet.crt
		tlsPrivateKeyFile: $DIR/etc/pki/kubelet.key
		clusterDomain: cluster.local
		clusterDNS: [$NODE_IP]
		resolvConf: $DIR/etc/resolv-empty.conf
		podLogsDir: $DIR/var/log/pods
		imageMinimumGCAge: 240h
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
		nodeStatusUpdateFrequency: 5s
		syncFrequency: 10s
	EOF
	cat >"$DIR/etc/kube-proxy.yaml" <<-EOF
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: nftables
		clientConnection: {kubeconfig: $KUBECONFIG}
		clusterCIDR: $POD_CIDR
		bindAddress: $NODE_IP
		metricsBindAddress: 127.0.0.1:10249
		healthzBindAddress: 127.0.0.1:10256
		conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
		nftables: {minSyncPeriod: 0s, syncPeriod: 30s}
	EOF
}

# box_manifests writes Knative's manifests from its Go modules, with ko's references replaced by the local images.
box_manifests() {
	cd "$HERE/knativetools" || return
	local core networking caching
	core=$(go list -m -f '{{.Dir}}' knative.dev/serving)/config/core
	networking=$(go list -m -f '{{.Dir}}' knative.dev/networking)/config
	caching=$(go list -m -f '{{.Dir}}' knative.dev/caching)/config
	local configmaps=() f
	for f in "$core"/configmaps/*.yaml; do
		[[ $f == */network.yaml ]] || configmaps+=("$f")
	done
	box_join "$core"/300-resources/*.yaml "$networking"/{certificate,domain-claim,ingress,serverlessservice}.yaml \
		"$caching/image.yaml" >"$DIR/etc/knative-crds.yaml"
	box_join "$core/100-namespace.yaml" "$core"/200-serviceaccount.yaml "$core"/200-roles/*.yaml "${configmaps[@]}" \
		"$networking/config-network.yaml" "$core/300-knativecertificate.yaml" >"$DIR/etc/knative-base.yaml"
	box_join "$core"/deployments/{activator,autoscaler,controller,webhook}.yaml "$core/999-cache.yaml" >"$DIR/etc/knative-deploy.yaml"
	box_join "$core"/webhooks/*.yaml >"$DIR/etc/knative-webhooks.yaml"
}

box_join() {
	local f
	for f in "$@"; do
		echo ---
		cat "$f"
	done | sed -E 's#ko://knative.dev/serving/cmd/([a-z]*)#dev.local/knative-\1:v1#'
}
