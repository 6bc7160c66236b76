"use strict";
// HEAD and OPTIONS are more than half of the operations and nothing to read:
// the description has them, under a tag of their own, and the page leaves it out.
const withoutHeadAndOptions = {
	statePlugins: {
		spec: {
			wrapSelectors: {
				taggedOperations: (original) => (state, ...args) =>
					original(state, ...args).filter((_, tag) => tag !== "head-and-options"),
			},
		},
	},
};
SwaggerUIBundle({
	url: "/openapi.yaml",
	dom_id: "#description",
	deepLinking: true,
	validatorUrl: null, // no request to anyone else
	defaultModelsExpandDepth: 0,
	docExpansion: "list",
	plugins: [withoutHeadAndOptions],
});
