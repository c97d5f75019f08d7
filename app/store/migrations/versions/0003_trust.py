"""How far to trust each target of an imputation."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("imputation", sa.Column("trust", sa.JSON()))


def downgrade() -> None:
    """Take back."""
    op.drop_column("imputation", "trust")
