// Command homeport-keyring asks the kubelet's own code which credentials it would try for an image.
//
// Each line of the input is {"secrets": [Secret...], "image": NAME}; each line of the output is
// {"error": TEXT} or {"credentials": [[USERNAME, PASSWORD]...]}.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/secrets"
	"k8s.io/kubernetes/pkg/util/parsers"
)

type question struct {
	Secrets []v1.Secret `json:"secrets"`
	Image   string      `json:"image"`
}

type answer struct {
	Error       string      `json:"error,omitempty"`
	Credentials [][2]string `json:"credentials"`
}

func ask(q question) answer {
	repository, _, _, err := parsers.ParseImageName(q.Image)
	if err != nil {
		return answer{Error: err.Error()}
	}
	keyring, err := secrets.MakeDockerKeyring(q.Secrets, credentialprovider.UnionDockerKeyring{})
	if err != nil {
		return answer{Error: err.Error()}
	}
	found, _ := keyring.Lookup(repository)
	a := answer{Credentials: [][2]string{}}
	for _, credential := range found {
		a.Credentials = append(a.Credentials, [2]string{credential.Username, credential.Password})
	}
	return a
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			log.Fatal(err)
		}
		if err := out.Encode(ask(q)); err != nil {
			log.Fatal(err)
		}
	}
}
