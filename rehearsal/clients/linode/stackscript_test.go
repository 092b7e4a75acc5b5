package linode

import (
	"encoding/json"
	"net/http"
	"os"
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
# <udf name="none" label="In lower case it is no tag">
# <UDF name="parts" label="What of it" manyof="a,b" default="a,b">
echo "$DOMAIN"
`

// generated is the script that comes with the images.
func generated(t *testing.T) string {
	t.Helper()
	text := must[[]byte](t)(os.ReadFile("../../../packer/generated/linode/stackscript.sh"))
	return string(text)
}

// settings are the guest's own list of what a buyer can choose, as forms show it.
func settings(t *testing.T) []linodego.StackscriptUDF {
	t.Helper()
	var fields []struct {
		Name, Label, Example string
		Choices              []string
		Secret               bool
	}
	done(t, json.Unmarshal([]byte(os.Getenv("FORM")), &fields))
	form := []linodego.StackscriptUDF{}
	for _, field := range fields {
		shown := linodego.StackscriptUDF{Name: field.Name, Label: field.Label}
		if len(field.Choices) > 0 {
			shown.OneOf, shown.Default = strings.Join(field.Choices, ","), field.Choices[0]
		} else if !field.Secret {
			shown.Example = field.Example
		}
		form = append(form, shown)
	}
	return form
}

func publish(t *testing.T, c *linodego.Client, script string, images ...string) *linodego.Stackscript {
	t.Helper()
	return must[*linodego.Stackscript](t)(c.CreateStackscript(ctx, linodego.StackscriptCreateOptions{
		Label: "Echora", Description: "Self-hosted chat", Images: images, Script: script, RevNote: "first",
	}))
}

// A maintainer puts the script that comes with the images into the account, and buyers fill its form in.
func TestTheGeneratedScriptIsPublishedAndItsFormIsTheGuestsListOfSettings(t *testing.T) {
	s, c := start(t, sim.Options{})
	text, form := generated(t), settings(t)
	if len(form) == 0 {
		t.Fatal("the guest has no settings")
	}
	// It is for the images that it came with, which are the maintainer's own.
	made := publish(t, c, text, "any/all")
	options := made.GetUpdateOptions()
	options.RevNote = "second"
	must[*linodego.Stackscript](t)(c.UpdateStackscript(ctx, made.ID, options))
	read := must[*linodego.Stackscript](t)(c.GetStackscript(ctx, made.ID))
	if read.Script != text || read.RevNote != "second" || read.IsPublic {
		t.Errorf("it is %+v", read)
	}
	if !slices.Equal(*read.UserDefinedFields, form) {
		t.Errorf("the form is\n%+v, the guest's settings are\n%+v", *read.UserDefinedFields, form)
	}
	image, _, err := capture(t, c, rent(t, c, order("build")).ID, linodego.ImageCreateOptions{Label: "Echora"})
	done(t, err)
	wanted := order("echora-1")
	wanted.Image, wanted.StackScriptID, wanted.StackScriptData = image.ID, made.ID, map[string]string{}
	for _, field := range form {
		wanted.StackScriptData[field.Name] = field.Example + field.Default
	}
	rent(t, c, wanted)
	// Nobody has to fill anything in.
	wanted.Label, wanted.StackScriptData = "echora-2", nil
	rent(t, c, wanted)
	wanted.Label, wanted.StackScriptData = "echora-3", map[string]string{"colour": "red"}
	_, err = c.CreateInstance(ctx, wanted)
	refused(t, err, http.StatusBadRequest, "The StackScript has no UDF colour")
	if again := must[*linodego.Stackscript](t)(c.GetStackscript(ctx, made.ID)); again.DeploymentsTotal != 2 {
		t.Errorf("it was deployed %d times", again.DeploymentsTotal)
	}
	done(t, c.DeleteStackscript(ctx, made.ID))
	if left := s.Left(); slices.Contains(left, "script Echora") {
		t.Errorf("left are %q", left)
	}
}

func TestAScriptIsPublishedRevisedAndTakenAway(t *testing.T) {
	s, c := start(t, sim.Options{})
	made := publish(t, c, script, "linode/debian13")
	if made.IsPublic || !made.Mine || made.Script != script || made.RevNote != "first" {
		t.Errorf("it is made as %+v", made)
	}
	wanted := []linodego.StackscriptUDF{
		{Name: "domain", Label: "Domain of the server", Example: "chat.example.org"},
		{Name: "admin_email", Label: "E-mail of the owner"},
		{Name: "size", Label: "How large", OneOf: "small,large", Default: "small"},
		{Name: "parts", Label: "What of it", ManyOf: "a,b", Default: "a,b"},
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
	s, c := start(t, sim.Options{})
	made := publish(t, c, script, "linode/debian13")
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
	wanted.StackScriptData = map[string]string{"domain": "chat.example.org"}
	_, err = c.CreateInstance(ctx, wanted)
	refused(t, err, http.StatusBadRequest, "The UDF admin_email is required")
	wanted.StackScriptData = nil
	_, err = c.CreateInstance(ctx, wanted)
	refused(t, err, http.StatusBadRequest, "The UDF admin_email is required")
	wanted.StackScriptID, wanted.StackScriptData = 0, map[string]string{"domain": "chat.example.org"}
	_, err = c.CreateInstance(ctx, wanted)
	refused(t, err, http.StatusBadRequest, "[stackscript_data] stackscript_data needs stackscript_id")
	if left := s.Left(); !slices.Equal(left, []string{"script Echora", "machine echora-1"}) {
		t.Errorf("left are %q", left)
	}
}

func TestABadScriptIsRefused(t *testing.T) {
	s, c := start(t, sim.Options{})
	good := linodego.StackscriptCreateOptions{Label: "Echora", Images: []string{"any/all"}, Script: script}
	for words, spoil := range map[string]func(*linodego.StackscriptCreateOptions){
		"[label] Length must be 3-128 characters":   func(o *linodego.StackscriptCreateOptions) { o.Label = "E" },
		"[images] images is not valid":              func(o *linodego.StackscriptCreateOptions) { o.Images = []string{"linode/none"} },
		"[script] Script must begin with a shebang": func(o *linodego.StackscriptCreateOptions) { o.Script = "echo" },
		"[script] A UDF tag cannot be read":         func(o *linodego.StackscriptCreateOptions) { o.Script += "# <UDF name=domain />" },
		"[script] A UDF tag needs name and label":   func(o *linodego.StackscriptCreateOptions) { o.Script += `# <UDF name="more" />` },
		"[script] The name of a UDF must be unique": func(o *linodego.StackscriptCreateOptions) { o.Script += `# <UDF name="domain" label="Again" />` },
		"[script] A UDF cannot be both oneOf and manyOf": func(o *linodego.StackscriptCreateOptions) {
			o.Script += `# <UDF name="more" label="More" oneOf="a" manyOf="b" />`
		},
		"[script] The name of a UDF must be alphanumeric and shorter than 64 characters": func(o *linodego.StackscriptCreateOptions) {
			o.Script += `# <UDF name="more-of-it" label="More" />`
		},
	} {
		wrong := good
		spoil(&wrong)
		_, err := c.CreateStackscript(ctx, wrong)
		refused(t, err, http.StatusBadRequest, words)
		if wrong.Script != good.Script {
			there := publish(t, c, script, "any/all")
			options := there.GetUpdateOptions()
			options.Script = wrong.Script
			_, err := c.UpdateStackscript(ctx, there.ID, options)
			refused(t, err, http.StatusBadRequest, words)
			done(t, c.DeleteStackscript(ctx, there.ID))
		}
	}
	if left := s.Left(); len(left) != 0 {
		t.Errorf("refused scripts made %q", left)
	}
}
