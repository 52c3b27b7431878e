{{- define "archway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Leaves room for "-shared-headless" and the number of a replica. */}}
{{- define "archway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 44 | trimSuffix "-" -}}
{{- else if contains (include "archway.name" .) .Release.Name -}}
{{- .Release.Name | trunc 44 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "archway.name" .) | trunc 44 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Whether the mode has an Archway on each node, shared ones, and something that writes to nodes. */}}
{{- define "archway.hasNode" -}}{{ if has .Values.mode (list "node" "both") }}yes{{ end }}{{- end -}}
{{- define "archway.hasShared" -}}{{ if has .Values.mode (list "shared" "both") }}yes{{ end }}{{- end -}}
{{- define "archway.hasWriter" -}}
{{- if or (eq .Values.mode "writer") (and (include "archway.hasNode" .) .Values.writer.enabled) }}yes{{ end -}}
{{- end -}}

{{- define "archway.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "archway.fullname" .) -}}
{{- end -}}

{{/* That of the pods on nodes: one of its own where they may change their node. */}}
{{- define "archway.node.serviceAccount" -}}
{{- if and .Values.node.startupTaint (not (include "archway.hasWriter" .)) -}}
{{- fail "node.startupTaint: without writer.enabled nobody would take the taint away" -}}
{{- end -}}
{{- if .Values.node.startupTaint }}{{ include "archway.fullname" . }}-node{{ else }}{{ include "archway.serviceAccount" . }}{{ end -}}
{{- end -}}

{{- define "archway.image" -}}
{{- $name := required "image.repository: say where your image of Archway is; there is no public one, `make image` builds it" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* Takes a list of the root and the part: node or shared. */}}
{{- define "archway.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "archway.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "archway.labels" -}}
{{- $root := index . 0 -}}
{{ include "archway.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What every container has: nothing to gain, nothing to write to but its volumes. */}}
{{- define "archway.locked" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "archway.user" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
{{- end -}}

{{/* The container that serves. Takes a dict of root, part (its values), host (of the probes) and port. */}}
{{- define "archway.serve" -}}
- name: archway
  image: {{ include "archway.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [serve, --config, /etc/archway/config.toml]
  {{- with .part.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $credentials := (.part.tier).credentialsSecretName }}
  {{- if or .part.envFrom $credentials }}
  envFrom:
    {{- with $credentials }}
    - secretRef: {name: {{ . }}}
    {{- end }}
    {{- with .part.envFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
  ports:
    - {name: registry, containerPort: {{ .part.port }}, protocol: TCP}
    - {name: admin, containerPort: {{ .part.admin.port }}, protocol: TCP}
    {{- if (.part.peers).enabled }}
    - {name: peers, containerPort: {{ .part.peers.port }}, protocol: TCP}
    {{- end }}
  # An index that is rebuilt from the files takes its time before anything listens.
  startupProbe:
    {{- include "archway.probe" (dict "path" "/livez" "of" .) | nindent 4 }}
    periodSeconds: 2
    failureThreshold: 300
  livenessProbe:
    {{- include "archway.probe" (dict "path" "/livez" "of" .) | nindent 4 }}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    {{- include "archway.probe" (dict "path" "/readyz" "of" .) | nindent 4 }}
    periodSeconds: 5
    timeoutSeconds: 3
    failureThreshold: 2
  {{- with .part.preStopSeconds }}
  lifecycle:
    preStop:
      sleep: {seconds: {{ . }}}
  {{- end }}
  resources:
    {{- toYaml .part.resources | nindent 4 }}
  securityContext:
    {{- include "archway.user" . | nindent 4 }}
    {{- include "archway.locked" . | nindent 4 }}
    {{- with .part.seLinuxOptions }}
    seLinuxOptions:
      {{- toYaml . | nindent 6 }}
    {{- end }}
  volumeMounts:
    - {name: config, mountPath: /etc/archway, readOnly: true}
    - {name: cache, mountPath: /var/lib/archway}
    {{- if (.part.tls).secretName }}
    - {name: tls, mountPath: /etc/archway-tls, readOnly: true}
    {{- end }}
    {{- if (.part.peers).enabled }}
    - {name: peers, mountPath: /etc/archway-replicas, readOnly: true}
    {{- end }}
    {{- if (.part.tier).keySecretName }}
    - {name: tier, mountPath: /etc/archway-tier, readOnly: true}
    {{- end }}
    {{- with .part.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{- define "archway.probe" -}}
httpGet:
  path: {{ .path }}
  port: {{ .of.part.admin.port }}
  {{- with .of.host }}
  host: {{ . }}
  {{- end }}
{{- end -}}

{{/* The config of a part as JSON: what the chart decides, then config, then the part's own. */}}
{{- define "archway.config" -}}
{{- range $where, $config := dict "config" .root.Values.config "the config of the part" .part.config -}}
{{- if hasKey $config "listener" -}}
{{- fail (printf "%s: `listener` is the chart's: set node.listener or shared.listener" $where) -}}
{{- end -}}
{{- end -}}
{{- $config := deepCopy .base -}}
{{- include "archway.overwrite" (list $config (deepCopy .root.Values.config)) -}}
{{- include "archway.overwrite" (list $config (deepCopy .part.config)) -}}
{{- toJson $config -}}
{{- end -}}

{{- define "archway.node.config" -}}
{{- $node := .Values.node -}}
{{- $listener := dict "address" (printf "%s:%d" $node.address (int $node.port)) "platform" "host" -}}
{{- include "archway.overwrite" (list $listener $node.listener) -}}
{{- $base := dict
  "listener" (list $listener)
  "admin" (dict "address" (printf "%s:%d" $node.admin.address (int $node.admin.port)))
  "cache" (dict "path" "/var/lib/archway" "max_size" $node.cache.maxSize "min_free" $node.cache.minFree) -}}
{{- if eq .Values.mode "both" -}}
{{- $address := required "shared.service.clusterIP: mode both needs a fixed address, since nodes do not resolve the cluster's names" .Values.shared.service.clusterIP -}}
{{- if contains ":" $address }}{{- $address = printf "[%s]" $address }}{{- end -}}
{{- $scheme := ternary "https" "http" (ne .Values.shared.tls.secretName "") -}}
{{- $_ := set $base "parents" (list (printf "%s://%s:%d" $scheme $address (int .Values.shared.port))) -}}
{{- end -}}
{{- include "archway.config" (dict "root" . "part" $node "base" $base) -}}
{{- end -}}

{{- define "archway.shared.config" -}}
{{- $shared := .Values.shared -}}
{{- $listener := dict "address" (printf "%s:%d" $shared.address (int $shared.port)) -}}
{{- if $shared.tls.secretName -}}
{{- $_ := set $listener "tls" (dict "cert" "/etc/archway-tls/tls.crt" "key" "/etc/archway-tls/tls.key") -}}
{{- end -}}
{{- include "archway.overwrite" (list $listener $shared.listener) -}}
{{- $base := dict
  "listener" (list $listener)
  "admin" (dict "address" (printf "%s:%d" $shared.address (int $shared.admin.port)))
  "cache" (dict "path" "/var/lib/archway" "max_size" $shared.cache.maxSize "min_free" $shared.cache.minFree) -}}
{{- with $shared.peers -}}
{{- if .enabled -}}
{{- $service := printf "%s-shared-peers.%s.svc:%d" (include "archway.fullname" $) $.Release.Namespace (int .port) -}}
{{- $_ := required "shared.peers.secretName: name a Secret with the key `secret`, which all replicas share" .secretName -}}
{{- $_ := set $base "replicas" (dict "discover" (printf "dns:%s" $service) "listen" (printf "%s:%d" $shared.address (int .port)) "secret_file" "/etc/archway-replicas/secret") -}}
{{- end -}}
{{- end -}}
{{- with $shared.tier -}}
{{- if .url -}}
{{- $tier := dict "url" .url -}}
{{- range $key, $value := dict "region" .region "endpoint" .endpoint "max_size" .maxSize -}}
{{- if $value }}{{- $_ := set $tier $key $value -}}{{ end -}}
{{- end -}}
{{- if .endpoint }}{{- $_ := set $tier "path_style" .pathStyle -}}{{ end -}}
{{- if .keySecretName }}{{- $_ := set $tier "key_file" "/etc/archway-tier/key" -}}{{ end -}}
{{- $_ := set $base "tier" $tier -}}
{{- else if or .keySecretName .credentialsSecretName -}}
{{- fail "shared.tier: the Secrets are for a bucket, and shared.tier.url names none" -}}
{{- end -}}
{{- end -}}
{{- with $shared.nodeList -}}
{{- if .enabled -}}
{{- $kubernetes := dict "nodes" true "pod_cidrs" .podCIDRs -}}
{{- if .labelSelector }}{{- $_ := set $kubernetes "label_selector" .labelSelector -}}{{ end -}}
{{- $_ := set $base "platform" (dict "kubernetes" $kubernetes) -}}
{{- $_ := set $base "prefetch" (dict "nodes" .prefetch) -}}
{{- end -}}
{{- end -}}
{{- include "archway.config" (dict "root" . "part" $shared "base" $base) -}}
{{- end -}}

{{/* A ConfigMap's config.toml. Takes the JSON of a config. */}}
{{- define "archway.configFile" -}}
# Written by the chart from its values.
{{ include "archway.toml" (fromJson .) }}
{{- end -}}

{{- define "archway.writer.server" -}}
{{- if eq .Values.mode "writer" -}}
{{- required "writer.server: say which Archway the nodes are to use, such as http://10.100.0.50:5000" .Values.writer.server -}}
{{- else -}}
{{- printf "%s://%s:%d" (ternary "https" "http" (hasKey .Values.node.listener "tls")) .Values.node.address (int .Values.node.port) -}}
{{- end -}}
{{- end -}}

{{/* The admin listener of a node, as a process of that node reaches it. */}}
{{- define "archway.node.adminHost" -}}
{{- $address := .Values.node.admin.address -}}
{{- if eq $address "0.0.0.0" }}127.0.0.1{{ else if eq $address "[::]" }}[::1]{{ else }}{{ $address }}{{ end -}}
{{- end -}}
{{- define "archway.node.admin" -}}
{{- printf "http://%s:%d" (include "archway.node.adminHost" .) (int .Values.node.admin.port) -}}
{{- end -}}

{{/* What the commands about a node have in common. */}}
{{- define "archway.writer.flags" -}}
- --root=/host
- --containerd-config={{ .Values.writer.paths.config }}/config.toml
- --cri-socket={{ .Values.writer.paths.runtime }}/containerd.sock
- --server={{ include "archway.writer.server" . }}
{{- end -}}

{{/* Which registries' images nodes pull through Archway. */}}
{{- define "archway.writer.registries" -}}
{{- with .Values.writer.registries -}}
- --registries={{ join "," . }}
{{- end }}
{{- end -}}

{{/* What those commands see of the node, below /host. os-release and the socket of k3s and RKE2 say whether
     the node's system writes containerd's files itself. */}}
{{- define "archway.writer.mounts" -}}
{{- range $name, $path := .Values.writer.paths }}
- {name: node-{{ $name }}, mountPath: /host{{ $path }}{{ if eq $name "runtime" }}, readOnly: true{{ end }}}
{{- end }}
- {name: node-release, mountPath: /host/etc/os-release, readOnly: true}
{{- if ne .Values.writer.paths.runtime "/run/k3s/containerd" }}
- {name: node-rancher, mountPath: /host/run/k3s/containerd, readOnly: true}
{{- end }}
{{- end -}}

{{/* A folder that is missing must not keep the pod from its start: what there is to say, it says. */}}
{{- define "archway.writer.volumes" -}}
{{- range $name, $path := .Values.writer.paths }}
- name: node-{{ $name }}
  hostPath:
    path: {{ $path }}
    type: DirectoryOrCreate
{{- end }}
- name: node-release
  hostPath:
    path: /etc/os-release
{{- if ne .Values.writer.paths.runtime "/run/k3s/containerd" }}
- name: node-rancher
  hostPath:
    path: /run/k3s/containerd
    type: DirectoryOrCreate
{{- end }}
{{- end -}}

{{/* The families of addresses of both Services, as far as they are said. */}}
{{- define "archway.shared.families" -}}
{{- with .Values.shared.service.ipFamilyPolicy -}}
ipFamilyPolicy: {{ . }}
{{ end -}}
{{- with .Values.shared.service.ipFamilies -}}
ipFamilies: [{{ join ", " . }}]
{{ end -}}
{{- end -}}

{{/* The head of a pod of `helm test` for an architecture, up to what its containers need. `part` has
     the places where such pods may run. */}}
{{- define "archway.test.head" -}}
{{- $root := .root -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "archway.fullname" $root }}-test-{{ .architecture }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "archway.labels" (list $root "test") | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  restartPolicy: Never
  activeDeadlineSeconds: 300
  nodeSelector:
    {{- $own := dict "kubernetes.io/os" "linux" "kubernetes.io/arch" .architecture }}
    {{- toYaml (merge $own (.part.nodeSelector | default dict)) | nindent 4 }}
  {{- with .part.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.test.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
