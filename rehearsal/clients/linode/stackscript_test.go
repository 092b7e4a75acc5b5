package linode

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"echora.example/clients/sim"
	"github.com/linode/linodego"
)

const script = `#!/bin/sh
# <UDF name="domain" label="Domain of the server" default="" example="chat.example.org" />
# <UDF name="admin_email" label="E-mail of the owner" />
# <UDF name="size" label="How large" oneOf="small,large" default="small"/>
echo "$DOMAIN"
`

func publish(t *testing.T, c *linodego.Client) *linodego.Stackscript {
	t.Helper()
	return must[*linodego.Stackscript](t)(c.CreateStackscript(ctx, linodego.StackscriptCreateOptions{
		Label: "Echora", Description: "Self-hosted chat", Images: []string{"linode/debian13"}, Script: script, RevNote: "first",
	}))
}

func TestAScriptIsPublishedRevisedAndTakenAway(t *testing.T) {
	s, c := start(t, sim.Options{})
	made := publish(t, c)
	if made.IsPublic || !made.Mine || made.Script != script || made.RevNote != "first" {
		t.Errorf("it is made as %+v", made)
	}
	wanted := []linodego.StackscriptUDF{
		{Name: "domain", Label: "Domain of the server", Example: "chat.example.org"},
		{Name: "admin_email", Label: "E-mail of the owner"},
		{Name: "size", Label: "How large", OneOf: "small,large", Default: "small"},
	}
	if !slices.Equal(*made.UserDefinedFields, wanted) {
		t.Errorf("its fields are %+v", *made.UserDefinedFields)
	}
	options := made.GetUpdateOptions()
	options.Script, options.RevNote, options.IsPublic = strings.Replace(script, "small,large", "small,middle,large", 1), "second", true
	revised := must[*linodego.Stackscript](t)(c.UpdateStackscript(ctx, made.ID, options))
	if fields := *revised.UserDefinedFields; fields[2].OneOf != "small,middle,large" || revised.RevNote != "second" || revised.Label != "Echora" {
		t.Errorf("revised it is %+v", revised)
	}
	options.IsPublic = false
	_, err := c.UpdateStackscript(ctx, made.ID, options)
	refused(t, err, http.StatusBadRequest, "[is_public] Public StackScripts cannot be made private")
	found := must[[]linodego.Stackscript](t)(c.ListStackscripts(ctx, linodego.NewListOptions(0, `{"mine": true, "label": "Echora"}`)))
	if len(found) != 1 || found[0].ID != made.ID {
		t.Errorf("by its label there are %+v", found)
	}
	if again := must[*linodego.Stackscript](t)(c.GetStackscript(ctx, made.ID)); again.Script != options.Script || !again.IsPublic {
		t.Errorf("it is %+v", again)
	}
	if left := s.Left(); !slices.Equal(left, []string{"script Echora"}) {
		t.Errorf("left are %q", left)
	}
	done(t, c.DeleteStackscript(ctx, made.ID))
	_, err = c.GetStackscript(ctx, made.ID)
	refused(t, err, http.StatusNotFound, "Not found")
	if left := s.Left(); len(left) != 0 {
		t.Errorf("left are %q", left)
	}
}

func TestAnInstanceIsDeployedByAScriptOnAnImageThatItSupports(t *testing.T) {
	_, c := start(t, sim.Options{})
	made := publish(t, c)
	wanted := order("echora-1")
	wanted.StackScriptID, wanted.StackScriptData = made.ID, map[string]string{"admin_email": "a@example.org"}
	rent(t, c, wanted)
	if again := must[*linodego.Stackscript](t)(c.GetStackscript(ctx, made.ID)); again.DeploymentsTotal != 1 {
		t.Errorf("it was deployed %d times", again.DeploymentsTotal)
	}
	wanted.Label, wanted.Image = "echora-2", "linode/ubuntu24.04"
	_, err := c.CreateInstance(ctx, wanted)
	refused(t, err, http.StatusBadRequest, "[image] The StackScript does not support this image")
	wanted.Image, wanted.StackScriptData["admin_email"] = "linode/debian13", strings.Repeat("x", 65536)
	_, err = c.CreateInstance(ctx, wanted)
	refused(t, err, http.StatusBadRequest, "[stackscript_data] stackscript_data is not valid")
}

func TestABadScriptIsRefused(t *testing.T) {
	s, c := start(t, sim.Options{})
	good := linodego.StackscriptCreateOptions{Label: "Echora", Images: []string{"any/all"}, Script: script}
	for words, spoil := range map[string]func(*linodego.StackscriptCreateOptions){
		"[label] Length must be 3-128 characters":   func(o *linodego.StackscriptCreateOptions) { o.Label = "E" },
		"[images] images is not valid":              func(o *linodego.StackscriptCreateOptions) { o.Images = []string{"linode/none"} },
		"[script] Script must begin with a shebang": func(o *linodego.StackscriptCreateOptions) { o.Script = "echo" },
	} {
		wrong := good
		spoil(&wrong)
		_, err := c.CreateStackscript(ctx, wrong)
		refused(t, err, http.StatusBadRequest, words)
	}
	if lines := s.Ledger().Lines; len(lines) != 0 {
		t.Errorf("refused scripts made %+v", lines)
	}
}
