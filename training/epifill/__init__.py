"""The default kind of model: ranks predicted from the sample's own marks and a panel of training samples."""
