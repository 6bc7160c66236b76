"use strict";
SwaggerUIBundle({
	url: "/openapi.yaml",
	dom_id: "#description",
	deepLinking: true,
	validatorUrl: null, // no request to anyone else
	defaultModelsExpandDepth: 0,
	docExpansion: "list",
});
