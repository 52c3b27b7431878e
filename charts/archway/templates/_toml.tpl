{{/*
TOML from a map. Helm's toToml writes each number as a float ("64.0"), which no config takes.
*/}}
{{- define "archway.toml" -}}
{{- include "archway.toml.table" (dict "path" "" "table" .) | trim -}}
{{- end -}}

{{- define "archway.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{- define "archway.toml.value" -}}
{{- if kindIs "map" . -}}
{ {{- range $i, $key := keys . | sortAlpha }}{{ if $i }},{{ end }} {{ include "archway.toml.key" $key }} = {{ include "archway.toml.value" (get $ $key) }}{{ end }} }
{{- else if kindIs "slice" . -}}
[{{ range $i, $value := . }}{{ if $i }}, {{ end }}{{ include "archway.toml.value" $value }}{{ end }}]
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end -}}

{{/* A table at `path`: its own values first, then a table for each map, and for each of a list at the top. */}}
{{- define "archway.toml.table" -}}
{{- $own := list -}}
{{- $below := list -}}
{{- range $key := keys .table | sortAlpha -}}
{{- $value := get $.table $key -}}
{{- $tables := and (kindIs "slice" $value) (not $.path) $value (kindIs "map" (first $value)) -}}
{{- if or (kindIs "map" $value) $tables -}}
{{- $below = append $below $key -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $own = append $own $key -}}
{{- end -}}
{{- end -}}
{{- if and .path (or $own (not $below)) }}
{{ .open | default "[" }}{{ .path }}{{ .close | default "]" }}
{{ end -}}
{{- range $key := $own -}}
{{ include "archway.toml.key" $key }} = {{ include "archway.toml.value" (get $.table $key) }}
{{ end -}}
{{- range $key := $below -}}
{{- $value := get $.table $key -}}
{{- $path := include "archway.toml.key" $key -}}
{{- if $.path }}{{ $path = printf "%s.%s" $.path $path }}{{ end -}}
{{- if kindIs "map" $value -}}
{{- include "archway.toml.table" (dict "path" $path "table" $value) -}}
{{- else -}}
{{- range $value -}}
{{- include "archway.toml.table" (dict "path" $path "table" . "open" "[[" "close" "]]") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Writes the second map of a list over the first, map by map; unlike mergeOverwrite also what is false, 0 or "". */}}
{{- define "archway.overwrite" -}}
{{- $into := index . 0 -}}
{{- range $key, $value := index . 1 -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $into $key)) -}}
{{- include "archway.overwrite" (list (get $into $key) $value) -}}
{{- else -}}
{{- $_ := set $into $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}
