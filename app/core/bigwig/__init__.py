"""bigWig files: validate, read, write. Nothing else imports pyBigWig."""
