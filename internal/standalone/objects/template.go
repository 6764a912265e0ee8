package objects

import (
	"fmt"
	"strconv"

	"github.com/sluice-proxy/sluice/internal/knative"
	"github.com/sluice-proxy/sluice/internal/standalone/kubeapi"
)

// Generation returns the generation of its Configuration when a Revision was made.
func Generation(revision kubeapi.Object) (int64, error) {
	generation, err := strconv.ParseInt(revision.GetLabels()[labelGeneration], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("label %s should be a number: %w", labelGeneration, err)
	}
	return generation, nil
}

// Template returns the template that a Revision was made from, and the generation of its Configuration at that time.
func Template(revision kubeapi.Object) (template map[string]any, generation int64, err error) {
	if generation, err = Generation(revision); err != nil {
		return nil, 0, err
	}
	metadata := map[string]any{}
	for field, all := range map[string]map[string]string{
		"labels": without(revision.GetLabels(), knative.LabelConfiguration, knative.LabelService, labelConfigurationUID, labelGeneration,
			labelServiceUID, labelRoutingState),
		"annotations": without(revision.GetAnnotations(), annotationCreator, annotationRoutes, annotationRoutingSince),
	} {
		if len(all) > 0 {
			own := map[string]any{}
			for key, value := range all {
				own[key] = value
			}
			metadata[field] = own
		}
	}
	return map[string]any{"metadata": metadata, "spec": revision.Object["spec"]}, generation, nil
}
