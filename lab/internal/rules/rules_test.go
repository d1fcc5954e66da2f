// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	schemacel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/version"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// oldest is the CEL for new rules of Kubernetes 1.30, the oldest that Clarion supports.
func oldest() *environment.EnvSet { return environment.MustBaseEnvSet(version.MajorMinor(1, 29)) }

func documents(t *testing.T, dir string) (docs [][]byte) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("..", "..", "..", "config", dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, bytes.Split(data, []byte("\n---\n"))...)
	}
	return docs
}

func TestRulesOfCRDsCompileAndAreCheapEnough(t *testing.T) {
	rules := 0
	for _, doc := range documents(t, "crd/bases") {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(doc, &crd); err != nil {
			t.Fatal(err)
		}
		for _, v := range crd.Spec.Versions {
			var schema apiextensions.JSONSchemaProps
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &schema, nil); err != nil {
				t.Fatal(err)
			}
			w := walk{t: t, env: oldest()}
			w.visit(crd.Spec.Names.Kind+" "+v.Name, &schema, validation.RootCELContext(&schema))
			if w.total > validation.StaticEstimatedCRDCostLimit {
				t.Errorf("%s %s: all rules together cost %d, more than %d", crd.Spec.Names.Kind, v.Name, w.total, validation.StaticEstimatedCRDCostLimit)
			}
			rules += w.rules
		}
	}
	if rules < 40 {
		t.Errorf("only %d rules found: is the reader of CRDs broken?", rules)
	}
}

// walk goes through the schema of one version, as the API server does when it is given a CRD.
type walk struct {
	t     *testing.T
	env   *environment.EnvSet
	total uint64
	rules int
}

func (w *walk) visit(path string, s *apiextensions.JSONSchemaProps, ctx *validation.CELSchemaContext) {
	if len(s.XValidations) > 0 {
		w.compile(path, ctx)
	}
	for name := range s.Properties {
		p := s.Properties[name]
		w.visit(path+"."+name, &p, ctx.ChildPropertyContext(&p, name))
	}
	if s.Items != nil && s.Items.Schema != nil {
		w.visit(path+"[]", s.Items.Schema, ctx.ChildItemsContext(s.Items.Schema))
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		w.visit(path+"{}", s.AdditionalProperties.Schema, ctx.ChildAdditionalPropertiesContext(s.AdditionalProperties.Schema))
	}
}

func (w *walk) compile(path string, ctx *validation.CELSchemaContext) {
	info, err := ctx.TypeInfo()
	if err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
	results, err := schemacel.Compile(info.Schema, info.DeclType, celconfig.PerCallLimit, w.env, schemacel.NewExpressionsEnvLoader())
	if err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
	for n, r := range results {
		if r.Error != nil || r.MessageExpressionError != nil {
			w.t.Errorf("%s, rule %d: %v, %v", path, n, r.Error, r.MessageExpressionError)
			continue
		}
		times := r.MaxCardinality
		if ctx.MaxCardinality != nil {
			times = *ctx.MaxCardinality
		}
		cost := r.MaxCost * times
		if cost > validation.StaticEstimatedCostLimit || r.MessageExpressionMaxCost > validation.StaticEstimatedCostLimit || times > 0 && cost/times != r.MaxCost {
			w.t.Errorf("%s, rule %d: costs %d for each of %d, more than %d", path, n, r.MaxCost, times, validation.StaticEstimatedCostLimit)
		}
		w.total += cost + r.MessageExpressionMaxCost
		w.rules++
	}
}

func TestAdmissionPoliciesCompile(t *testing.T) {
	policies := 0
	for _, doc := range documents(t, "admission-policies") {
		var p admissionv1.ValidatingAdmissionPolicy
		if err := yaml.Unmarshal(doc, &p); err != nil {
			t.Fatal(err)
		}
		if p.Kind == "ValidatingAdmissionPolicy" {
			policies++
			compilePolicy(t, &p)
		}
	}
	if policies < 10 {
		t.Errorf("only %d policies found: is the reader of policies broken?", policies)
	}
}

func compilePolicy(t *testing.T, p *admissionv1.ValidatingAdmissionPolicy) {
	t.Helper()
	compiler, err := plugincel.NewCompositedCompiler(oldest())
	if err != nil {
		t.Fatal(err)
	}
	declared := plugincel.OptionalVariableDeclarations{HasParams: p.Spec.ParamKind != nil, HasAuthorizer: true}
	check := func(what string, e plugincel.ExpressionAccessor, vars plugincel.OptionalVariableDeclarations) {
		if r := compiler.CompileCELExpression(e, vars, environment.NewExpressions); r.Error != nil {
			t.Errorf("%s: %s: %v", p.Name, what, r.Error)
		}
	}
	for i := range p.Spec.MatchConditions {
		c := matchconditions.MatchCondition(p.Spec.MatchConditions[i])
		check("condition "+c.Name, &c, declared)
	}
	for _, v := range p.Spec.Variables {
		r := compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, declared, environment.NewExpressions)
		if r.Error != nil {
			t.Errorf("%s: variable %s: %v", p.Name, v.Name, r.Error)
		}
	}
	for _, v := range p.Spec.Validations {
		check("validation", &validating.ValidationCondition{Expression: v.Expression, Message: v.Message}, declared)
		if v.MessageExpression != "" { // which has no authorizer
			check("message", &validating.MessageExpressionCondition{MessageExpression: v.MessageExpression},
				plugincel.OptionalVariableDeclarations{HasParams: declared.HasParams})
		}
	}
}
