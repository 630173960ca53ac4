// Shows the shaped document. The validator's badge would be asked for on the internet.
SwaggerUIBundle({
  dom_id: '#ui',
  url: new URL('openapi.json', document.baseURI).href,
  deepLinking: true,
  validatorUrl: null,
});
